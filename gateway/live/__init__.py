"""Live updates of an order as server-sent events."""
