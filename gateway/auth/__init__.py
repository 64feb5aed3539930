"""Authentication: access tokens, browser sessions, and the client of user_svc."""
