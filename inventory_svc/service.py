"""The service definition of inventory_svc: the messages that it handles, and its aggregates."""

from collections.abc import Collection
from datetime import timedelta
from typing import get_args

from chassis.core.definition import DEFAULT_TTL, Aggregate, RelatedAggregates, ServiceDefinition
from chassis.messaging.message import Message
from contracts import inventory, orders
from contracts.catalog import CATALOG
from contracts.http.inventory import ReservationStatus
from inventory_svc import decider
from inventory_svc.stock import Receipt, Reservation, Shelf


def _skus(state: Reservation | Receipt, message: Message) -> Collection[str]:
    """The shelves that a decision reads: those of the reservation, or those that the message names."""
    match message:
        case orders.OrderPlaced(lines=lines):
            return {line.sku for line in lines}
        case inventory.ReceiveStock(sku=sku):
            return {sku}
        case _ if isinstance(state, Reservation):
            return {line.sku for line in state.lines}
        case _:
            return ()


ENDED = frozenset({ReservationStatus.REJECTED, ReservationStatus.RELEASED, ReservationStatus.DISPATCHED})


def inventory_service(ttl: timedelta = DEFAULT_TTL) -> ServiceDefinition:
    shelves = RelatedAggregates("shelves", start=Shelf, keys=_skus)
    reservations = Aggregate(
        kind="reservations",
        start=Reservation(),
        decide=decider.decide,
        handles=get_args(decider.Handles),
        created_by=(orders.OrderPlaced,),
        related=shelves,
        indexes=("status",),
        open_statuses=frozenset({ReservationStatus.HELD}),
        ttl=ttl,
        ended_statuses=ENDED,
    )
    receipts = Aggregate(
        kind="receipts",
        start=Receipt(),
        decide=decider.receive,
        handles=(inventory.ReceiveStock,),
        created_by=(inventory.ReceiveStock,),
        related=shelves,
        ttl=ttl,
    )
    return ServiceDefinition("inventory_svc", (reservations, receipts), catalog=CATALOG)
