"""Keeps stock: holds it for orders, all lines or none, sells it, gives it back."""
