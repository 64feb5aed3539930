"""The shop's messages, and the HTTP models that services share.

Stands on `chassis.messaging` and pydantic, so a client program can use it alone.
`contracts.catalog` lists the owners of all messages.
Qualify messages with their module: `from contracts import orders`, then `orders.OrderPlaced`.
"""

from contracts import inventory, notifications, orders, payments, products, users

__all__ = ["inventory", "notifications", "orders", "payments", "products", "users"]
