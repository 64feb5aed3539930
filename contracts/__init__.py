"""What is said between services, and how it is spelled on the wire.

Imports nothing but pydantic and the standard library, so a client program can take it alone.
Write messages with their room in front: `from contracts import orders`, then `orders.OrderPlaced`.
"""
