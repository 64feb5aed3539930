"""Writes to customers: one mail for each thing that happened to an order or an account."""
