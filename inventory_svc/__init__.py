"""Keeps stock: reserves it for orders, all lines or none, sells it, and releases it."""
