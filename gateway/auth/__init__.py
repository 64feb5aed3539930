"""Who sends a request: access tokens, browser sessions, and the client of user_svc."""
