"""Signing: the key ring, and the tokens that it signs."""
