"""Signing: the ring of keys, and the tokens that they sign."""
