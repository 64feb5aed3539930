"""The service definition of inventory_svc: the messages that it handles, and its aggregates."""

from collections.abc import Collection
from datetime import timedelta
from typing import get_args

from chassis.core.definition import DEFAULT_TTL, Aggregate, RelatedAggregates, ServiceDefinition
from chassis.core.recall import Recall
from chassis.messaging.message import Message
from contracts import inventory, orders
from contracts.catalog import CATALOG
from contracts.http.inventory import ReservationStatus
from inventory_svc import decider
from inventory_svc.stock import Correction, Receipt, Reservation, Shelf


def _skus(state: Reservation | Receipt | Correction, message: Message) -> Collection[str]:
    """The shelves that a decision reads: those of the reservation, or those that the message names."""
    match message:
        case orders.OrderPlaced(lines=lines):
            return {line.sku for line in lines}
        case inventory.ReceiveStock(sku=sku) | decider.ReceiptRecalled(sku=sku):
            return {sku}
        case (
            inventory.CorrectStock(sku=sku)
            | decider.CorrectionRecalled(sku=sku)
            | decider.RefusalRecalled(sku=sku)
        ):
            return {sku}
        case _ if isinstance(state, Reservation):
            return {line.sku for line in state.lines}
        case _:
            return ()


ENDED = frozenset({ReservationStatus.REJECTED, ReservationStatus.RELEASED, ReservationStatus.DISPATCHED})


def inventory_service(ttl: timedelta = DEFAULT_TTL) -> ServiceDefinition:
    shelves = RelatedAggregates("shelves", start=Shelf, keys=_skus, indexes=("available",))
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
        recall=Recall((decider.RejectionRecalled,), decider.recall_rejection),
    )
    receipts = Aggregate(
        kind="receipts",
        start=Receipt(),
        decide=decider.receive,
        handles=(inventory.ReceiveStock,),
        created_by=(inventory.ReceiveStock,),
        related=shelves,
        ttl=ttl,
        recall=Recall((decider.ReceiptRecalled,), decider.recall_receipt),
    )
    corrections = Aggregate(
        kind="corrections",
        start=Correction(),
        decide=decider.correct,
        handles=(inventory.CorrectStock,),
        created_by=(inventory.CorrectStock,),
        related=shelves,
        ttl=ttl,
        recall=Recall((decider.CorrectionRecalled, decider.RefusalRecalled), decider.recall_correction),
    )
    return ServiceDefinition(
        "inventory_svc",
        (reservations, receipts, corrections),
        catalog=CATALOG,
        added=(inventory.CorrectStock, orders.GoodsReturned),  # unknown to release 0.1.0
    )
