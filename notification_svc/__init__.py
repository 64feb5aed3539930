"""Sends mails to customers: one for each notable event of an order or an account."""
