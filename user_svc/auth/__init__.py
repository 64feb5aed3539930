"""The means of authentication: passwords, the login throttle, families of refresh tokens.

They know no account.
"""
