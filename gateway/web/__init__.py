"""Server-side rendering of the pages: templates, forms and static files. Pages work without JavaScript."""
