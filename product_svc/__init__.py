"""Keeps the catalogue: what can be bought, under which name, at what price."""
