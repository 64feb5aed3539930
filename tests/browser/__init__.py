"""The shop as people meet it: in a real browser, with a real broker and database behind it."""
