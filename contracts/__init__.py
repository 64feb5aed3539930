"""The messages between services, and their form on the wire.

Imports nothing but pydantic and the standard library, so a client program can use it alone. Qualify messages with their
module: `from contracts import orders`, then `orders.OrderPlaced`.
"""
