"""Tools of the project's own continuous integration. No image contains them."""
