"""The shop's front door: the HTTP API, the pages, and its own picture of every order's journey."""
