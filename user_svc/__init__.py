"""User accounts: login, roles, and addresses. All personal data but the addresses of orders."""
