"""What the routes of live updates need."""

from typing import Protocol

from gateway.auth.dependencies import AuthDependencies
from gateway.live.sse import LiveUpdates
from gateway.orders.customer_orders import CustomerOrders


class LiveDependencies(AuthDependencies, Protocol):
    orders: CustomerOrders
    live: LiveUpdates
