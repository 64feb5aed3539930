"""Finds or starts the broker and the database that the shop runs on: see `resolve.obtain`."""
