"""Takes orders, and is the only arbiter of what becomes of them."""
