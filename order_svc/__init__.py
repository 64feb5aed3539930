"""Takes orders and is the only service that decides their outcome."""
