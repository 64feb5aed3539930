"""The operators' pages: the map, dead letters, stuck orders, an order's whole story, stock and catalogue."""
