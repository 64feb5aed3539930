"""Loads an order for a user who may read it."""

from dataclasses import dataclass
from uuid import UUID

from gateway.auth.principal import Principal
from gateway.http.problems import ProblemError
from gateway.orders.customer_orders import CustomerOrders
from gateway.orders.timeline import OrderTimeline


@dataclass(frozen=True)
class AuthorizedOrder:
    """An order that `user` may read, with its timeline at the time of the request."""

    order_id: UUID
    timeline: OrderTimeline
    user: Principal


async def load_authorized_order(orders: CustomerOrders, order_id: UUID, user: Principal) -> AuthorizedOrder:
    """The order, for its customer and for staff. Raises a 404 for other users, as for an unknown order."""
    timeline = await orders.get(order_id)
    if timeline is None or (timeline.customer_id != user.user_id and not user.is_staff):
        raise ProblemError("not-found")
    return AuthorizedOrder(order_id, timeline, user)


def parse_order_id(given: str) -> UUID:
    """Parses an order id in canonical form. Raises a 404 for any other."""
    try:
        order_id = UUID(given)
    except ValueError:
        raise ProblemError("not-found") from None
    if str(order_id) != given:
        raise ProblemError("not-found")
    return order_id
