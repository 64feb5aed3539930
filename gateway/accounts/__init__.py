"""User accounts: their HTTP API and their pages."""
