"""What the routes of live updates need."""

from typing import Protocol

from gateway.auth.dependencies import AuthDependencies
from gateway.live.sse import LiveUpdates
from gateway.orders.order_service import OrderService


class LiveDependencies(AuthDependencies, Protocol):
    orders: OrderService
    live: LiveUpdates
