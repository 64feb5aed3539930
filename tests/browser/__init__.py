"""End-to-end tests of the shop in a real browser, with a real broker and database."""
