"""All services of the shop, and the topology that follows from what they hear."""

from collections.abc import Callable

from chassis import topology
from chassis.service import Service
from inventory_svc.service import inventory_service
from notification_svc.service import notification_service
from order_svc.service import order_service
from payment_svc.service import payment_service
from product_svc.service import product_service
from user_svc.service import user_service

SERVICES: dict[str, Callable[[], Service]] = {
    "order_svc": order_service,
    "inventory_svc": inventory_service,
    "payment_svc": payment_service,
    "notification_svc": notification_service,
    "user_svc": user_service,
    "product_svc": product_service,
}

# Where `journey up` listens, if the port is free; for people's bookmarks.
PORTS = {name: 8101 + index for index, name in enumerate(SERVICES)}


def whole_topology(delay_scale: float = 1.0) -> topology.Topology:
    """`delay_scale` shortens the retry ladder, for tests."""
    return topology.build((make() for make in SERVICES.values()), delay_scale)
