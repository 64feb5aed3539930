"""The public HTTP server of the shop: the API, the pages, and a read model of all orders."""
