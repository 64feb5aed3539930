"""Where orders go, read from the gateway with the access token of the staff member who looks."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from uuid import UUID

from fastapi import Request
from pydantic import ValidationError

from chassis.web.http_client import UpstreamClient, UpstreamUnavailable
from contracts.http.delivery import ORDERS_MAX, OrderDeliveries, OrderDelivery


@dataclass(frozen=True)
class Deliveries:
    """`known` is False if the gateway does not respond, or is of a release that cannot say."""

    known: bool
    by_order: Mapping[str, OrderDelivery] = field(default_factory=dict, repr=False)

    def of(self, order_id: object) -> OrderDelivery | None:
        """None if nothing is known about this order."""
        return self.by_order.get(str(order_id))


async def load_deliveries(
    gateway: UpstreamClient, request: Request, order_ids: Collection[UUID | str]
) -> Deliveries:
    """Of at most ORDERS_MAX orders."""
    if not order_ids:
        return Deliveries(known=True)
    wanted = [str(order_id) for order_id in order_ids][:ORDERS_MAX]
    token = request.headers.get("Authorization", "").removeprefix("Bearer ")
    try:
        response = await gateway.get("/delivery-addresses", params={"order_id": wanted}, token=token)
        if response.status_code != 200:
            return Deliveries(known=False)
        found = OrderDeliveries.model_validate_json(response.content)
    except (UpstreamUnavailable, ValidationError):
        return Deliveries(known=False)
    return Deliveries(known=True, by_order={str(each.order_id): each for each in found.items})
