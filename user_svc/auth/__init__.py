"""Authentication: passwords, the login throttle, and families of refresh tokens."""
