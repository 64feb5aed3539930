"""Authorises, captures, voids and refunds. Only `provider.py` communicates with the card provider."""
