"""The switchboard of inventory_svc: what it hears, and who decides."""

from collections.abc import Collection
from datetime import timedelta
from typing import get_args

from chassis.service import KEPT_FOR, Aggregate, Alongside, Service
from contracts import inventory, orders
from contracts.message import Message
from inventory_svc import decider
from inventory_svc.stock import Receipt, Reservation, Shelf, Status


def _skus(state: Reservation | Receipt, message: Message) -> Collection[str]:
    """The shelves that a decision needs to see: those of the reservation, or those that the message names."""
    match message:
        case orders.OrderPlaced(lines=lines):
            return {line.sku for line in lines}
        case inventory.ReceiveStock(sku=sku):
            return {sku}
        case _ if isinstance(state, Reservation):
            return {line.sku for line in state.lines}
        case _:
            return ()


ENDED = frozenset({Status.REJECTED, Status.RELEASED, Status.DISPATCHED})


def inventory_service(kept_for: timedelta = KEPT_FOR) -> Service:
    shelves = Alongside("shelves", start=Shelf, keys=_skus)
    reservations = Aggregate(
        kind="reservations",
        start=Reservation(),
        decide=decider.decide,
        hears=get_args(decider.Heard),
        begun_by=(orders.OrderPlaced,),
        alongside=shelves,
        indexes=("status",),
        open_statuses=frozenset({Status.HELD}),
        kept_for=kept_for,
        ended_statuses=ENDED,
    )
    receipts = Aggregate(
        kind="receipts",
        start=Receipt(),
        decide=decider.receive,
        hears=(inventory.ReceiveStock,),
        begun_by=(inventory.ReceiveStock,),
        alongside=shelves,
        kept_for=kept_for,
    )
    return Service("inventory_svc", (reservations, receipts))
