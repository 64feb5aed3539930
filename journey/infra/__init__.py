"""Finds the broker and the database that the shop runs on, or starts them: see `find.obtain`."""
