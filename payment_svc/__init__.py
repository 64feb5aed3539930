"""Authorises, captures, voids and refunds; every word with the card provider goes through `provider.py`."""
