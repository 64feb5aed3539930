"""Keeps accounts: who may log in, and where mail and goods for them go. The only place with personal data."""
