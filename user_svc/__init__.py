"""User accounts: login, roles, and addresses. The only service that stores personal data."""
