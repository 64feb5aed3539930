"""The staff pages: the service map, dead letters, stuck orders, an order's timeline, stock and catalogue."""
