"""Accounts: the aggregate, its rules, and the e-mail address that belongs to one account."""
