"""Accounts and their logins: aggregates, rules, use cases,
and the e-mail address that belongs to one account.
"""
