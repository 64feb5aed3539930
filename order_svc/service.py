"""The service definition of order_svc: the messages that it handles, and its aggregates."""

from collections.abc import Collection
from datetime import timedelta
from functools import partial, update_wrapper
from typing import get_args
from uuid import UUID

from chassis.core.deadline import Deadline
from chassis.core.decision import Decider
from chassis.core.definition import DEFAULT_TTL, Aggregate, RelatedAggregates, ServiceDefinition
from chassis.core.recall import Recall
from chassis.messaging.message import Message
from chassis.store.conditions import IndexPath
from contracts import orders, payments
from contracts.catalog import CATALOG
from contracts.http.orders import OrderStatus
from order_svc import decider, price
from order_svc.metrics import observe_order
from order_svc.order import Order
from order_svc.price import Price
from order_svc.search_fields import REVERSED_ID, SEARCH_FIELDS, SORT_KEY

DEADLINE_S = 900.0


def _priced_skus(order: Order, message: Message) -> Collection[str]:
    return {line.sku for line in message.lines} if isinstance(message, orders.PlaceOrder) else ()


ENDED = frozenset({OrderStatus.NEW, OrderStatus.DISPATCHED, OrderStatus.CANCELLED, OrderStatus.REJECTED})


_INDEXES: tuple[IndexPath, ...] = (
    "customer_id",
    "status",
    REVERSED_ID,
    SORT_KEY,
    *((path, SORT_KEY) for path in ("customer_id", "status", "lines.sku")),
)


def _decider(return_window: timedelta) -> Decider[Order]:
    return update_wrapper(partial(decider.decide, return_window=return_window), decider.decide)


def order_service(
    deadline_s: float = DEADLINE_S,
    ttl: timedelta = DEFAULT_TTL,
    return_window: timedelta = decider.RETURN_WINDOW,
) -> ServiceDefinition:
    """`deadline_s`: seconds until an undecided order is cancelled. `ttl`: how long an ended one stays stored.
    `return_window`: how long after the dispatch its goods can come back.
    """
    placed_orders = Aggregate(
        kind="orders",
        start=Order(),
        decide=_decider(return_window),
        handles=get_args(decider.Handles),
        created_by=(orders.PlaceOrder,),
        related=RelatedAggregates("prices", start=lambda sku: Price(), keys=_priced_skus, read_only=True),
        deadline=Deadline(
            after=timedelta(seconds=deadline_s),
            waiting=lambda order: order.status is OrderStatus.PLACED,
            make_command=lambda key: orders.DeadlinePassed(order_id=UUID(key)),
        ),
        indexes=_INDEXES,
        derived=SEARCH_FIELDS,
        open_statuses=frozenset({OrderStatus.PLACED}),
        ttl=ttl,
        ended_statuses=ENDED,
        observe=observe_order,
        recall=Recall(get_args(decider.Recalled), decider.recall),
    )
    price_book = Aggregate(
        kind="prices",
        start=Price(),
        decide=price.decide,
        handles=get_args(price.Handles),
        handled_max=20,
    )
    return ServiceDefinition(
        "order_svc",
        (placed_orders, price_book),
        catalog=CATALOG,
        # Unknown to release 0.1.0.
        added=(
            orders.CancelAsStaff,
            orders.RecordTracking,
            orders.RefundOrder,
            payments.PaymentPartRefunded,
            payments.PaymentResolved,
            payments.RefundRefused,
        ),
    )
