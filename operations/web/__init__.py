"""Templates, forms and static files of the staff pages."""
