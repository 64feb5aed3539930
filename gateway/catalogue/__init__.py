"""The catalogue: the client of product_svc and inventory_svc, its HTTP API and its pages."""
