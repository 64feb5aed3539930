"""Administration of the database: the users and their roles."""
