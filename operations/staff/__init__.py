"""Roles of the staff."""
