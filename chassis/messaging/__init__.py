"""Messages: their declaration, their form on the wire, and who may send them."""
