"""Keeps the catalogue: the articles with their titles, categories and prices."""
