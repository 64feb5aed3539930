"""All services of the shop, and the topology derived from the messages that they handle."""

from collections.abc import Callable
from functools import cache

from chassis.bus import topology
from chassis.bus.topology_model import Topology
from chassis.core.definition import ServiceDefinition
from gateway.service import gateway_service
from inventory_svc.service import inventory_service
from journey.admin.database.users import DatabaseUser, database_users
from journey.admin.partitions import with_partitions
from notification_svc.service import notification_service
from order_svc.service import order_service
from payment_svc.service import payment_service
from product_svc.service import product_service
from user_svc.service import user_service

SERVICES: dict[str, Callable[[], ServiceDefinition]] = {
    "order_svc": order_service,
    "inventory_svc": inventory_service,
    "payment_svc": payment_service,
    "notification_svc": notification_service,
    "user_svc": user_service,
    "product_svc": product_service,
}

# Every service with queues. The gateway consumes events for its projection, and takes no part in the saga.
CONSUMING_SERVICES = {**SERVICES, "gateway": gateway_service}


@cache
def service_of(kind: str) -> str:
    """The service with this kind of aggregate. Raises LookupError if there is none."""
    for name, make in SERVICES.items():
        if any(aggregate.kind == kind for aggregate in make().aggregates):
            return name
    raise LookupError(f"no service in {__name__} has aggregates of the kind {kind!r}")


# The web applications for people. The shop runs without them: programs send commands over AMQP.
WEB_PROGRAMS = ("gateway", "operations")

# Ports for `journey up`, used if they are free, so that bookmarks stay valid. SHOP_PORT is the public one.
PORTS = {name: 8101 + index for index, name in enumerate((*SERVICES, *WEB_PROGRAMS))}
SHOP_PORT = 8080


def shop_topology(delay_scale: float = 1.0, partitions: str | None = None) -> Topology:
    """`delay_scale` shortens the retry ladder, for tests.

    `partitions`: by default those of the environment variable PARTITIONS.
    """
    whole = topology.build((make() for make in CONSUMING_SERVICES.values()), delay_scale)
    return with_partitions(whole, partitions)


def shop_database_users(prefix: str = "") -> list[DatabaseUser]:
    """`prefix`: of the names of the databases and users, for shops that share a server."""
    return database_users((make() for make in CONSUMING_SERVICES.values()), prefix)
