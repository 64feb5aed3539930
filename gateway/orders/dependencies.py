"""What the routes of orders need."""

from typing import Protocol

from chassis.runtime import Runtime
from gateway.auth.user_client import UserClient
from gateway.basket.dependencies import BasketDependencies
from gateway.http.rate_limit import RateLimiter
from gateway.orders.customer_orders import CustomerOrders
from gateway.settings import GatewaySettings


class OrderDependencies(BasketDependencies, Protocol):
    runtime: Runtime
    settings: GatewaySettings
    orders: CustomerOrders
    rate_limiter: RateLimiter
    user_client: UserClient
