"""The switchboard of order_svc: what it hears, and who decides."""

from collections.abc import Collection
from datetime import timedelta
from typing import get_args
from uuid import UUID

from chassis.service import KEPT_FOR, Aggregate, Alongside, Deadline, Service
from contracts import orders
from contracts.message import Message
from order_svc import decider, price
from order_svc.order import Order, Status
from order_svc.price import Price

DEADLINE_S = 900.0


def _priced_skus(order: Order, message: Message) -> Collection[str]:
    return {line.sku for line in message.lines} if isinstance(message, orders.PlaceOrder) else ()


ENDED = frozenset({Status.NEW, Status.DISPATCHED, Status.CANCELLED, Status.REJECTED})


def order_service(deadline_s: float = DEADLINE_S, kept_for: timedelta = KEPT_FOR) -> Service:
    """`deadline_s`: how long an order may be under way before it is cancelled.

    `kept_for`: how long one that has ended stays in the database.
    """
    placed_orders = Aggregate(
        kind="orders",
        start=Order(),
        decide=decider.decide,
        hears=get_args(decider.Heard),
        begun_by=(orders.PlaceOrder,),
        alongside=Alongside("prices", start=lambda sku: Price(), keys=_priced_skus, only_read=True),
        deadline=Deadline(
            after=timedelta(seconds=deadline_s),
            waiting=lambda order: order.status is Status.PLACED,
            say=lambda key: orders.DeadlinePassed(order_id=UUID(key)),
        ),
        indexes=("customer_id", "status"),
        open_statuses=frozenset({Status.PLACED}),
        kept_for=kept_for,
        ended_statuses=ENDED,
    )
    price_book = Aggregate(
        kind="prices",
        start=Price(),
        decide=price.decide,
        hears=get_args(price.Heard),
        handled_max=20,
    )
    return Service("order_svc", (placed_orders, price_book))
