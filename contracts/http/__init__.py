"""HTTP models that two services share, and access tokens."""
