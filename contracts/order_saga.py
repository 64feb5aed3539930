"""The order saga: its steps, the events that begin and end them,
and the statuses and mails that events cause.

`journey replay`, the progress shown to customers, the doctor and the services take what they need from here.
tests/unit/order_svc/test_order_saga.py compares it with the deciders in every order of arrival.
"""

from collections.abc import Iterable, Mapping, Set
from dataclasses import dataclass, replace
from functools import cache

from chassis.messaging.message import Event, Message
from contracts import inventory, orders, payments
from contracts.http.orders import OrderStatus
from contracts.notifications import MailKind

EventType = type[Event]

# In order of precedence: the last status whose event exists is the current one.
STATUSES: dict[EventType, OrderStatus] = {
    orders.OrderPlaced: OrderStatus.PLACED,
    orders.OrderConfirmed: OrderStatus.CONFIRMED,
    orders.OrderDispatched: OrderStatus.DISPATCHED,
    orders.OrderNeedsAttention: OrderStatus.NEEDS_ATTENTION,
    orders.OrderCancelled: OrderStatus.CANCELLED,
    orders.OrderRejected: OrderStatus.REJECTED,
}


def status_of(latest: Mapping[EventType, str]) -> OrderStatus | None:
    """The status of an order, from the time of its latest event of each type, in ISO 8601.

    None without an event of order_svc.
    """
    resolved, attention = latest.get(orders.OrderResolved, ""), latest.get(orders.OrderNeedsAttention, "")
    over = orders.OrderNeedsAttention if resolved >= attention else None
    known = (event for event in reversed(STATUSES) if event in latest and event is not over)
    return next((STATUSES[event] for event in known), None)


DECIDED = tuple(event for event, status in STATUSES.items() if status is not OrderStatus.PLACED)

MAILS: Mapping[type[Message], MailKind] = {
    orders.OrderConfirmed: MailKind.ORDER_CONFIRMED,
    orders.OrderDispatched: MailKind.ORDER_DISPATCHED,
    orders.OrderCancelled: MailKind.ORDER_CANCELLED,
    payments.PaymentRefunded: MailKind.PAYMENT_REFUNDED,
    payments.PaymentPartRefunded: MailKind.PAYMENT_REFUNDED,
}
"""The mails about an order, by the event that causes them."""


@dataclass(frozen=True)
class SagaStep:
    """A result of one service that an order waits for, once all events of `after` exist.

    `done`: it succeeded; `failed`: it failed; both are events of the same service. `moot`: it is no longer
    needed. `needs`: events without which no result can exist, if they are not those of `after`.
    """

    name: str
    after: tuple[EventType, ...]
    done: tuple[EventType, ...]
    failed: tuple[EventType, ...] = ()
    moot: tuple[EventType, ...] = ()
    needs: tuple[EventType, ...] | None = None

    @property
    def service(self) -> str:
        return self.done[0].OWNER

    @property
    def results(self) -> tuple[EventType, ...]:
        return self.done + self.failed

    def has_begun(self, events: Set[EventType]) -> bool:
        return events >= frozenset(self.after)

    def is_awaited(self, events: Set[EventType]) -> bool:
        return self.has_begun(events) and events.isdisjoint(self.results + self.moot)


STOCK = SagaStep(
    "stock",
    after=(orders.OrderPlaced,),
    done=(inventory.StockReserved,),
    failed=(inventory.StockRejected,),
    moot=DECIDED,
)
PAYMENT = SagaStep(
    "payment",
    after=(orders.OrderPlaced,),
    needs=(inventory.StockReserved,),
    done=(payments.PaymentAuthorized,),
    failed=(payments.PaymentDeclined,),
    moot=(inventory.StockRejected, *DECIDED),
)
CONFIRMATION = SagaStep(
    "confirmation",
    after=(inventory.StockReserved, payments.PaymentAuthorized),
    done=(orders.OrderConfirmed,),
    moot=DECIDED,
)
# A customer, too, can cancel: an OrderCancelled needs no earlier event.
OUT_OF_STOCK = SagaStep(
    "cancellation", after=(inventory.StockRejected,), needs=(), done=(orders.OrderCancelled,), moot=DECIDED
)
DECLINED = SagaStep(
    "cancellation", after=(payments.PaymentDeclined,), needs=(), done=(orders.OrderCancelled,), moot=DECIDED
)
CAPTURE = SagaStep(
    "capture",
    after=(orders.OrderConfirmed,),
    done=(payments.PaymentCaptured,),
    failed=(payments.PaymentFailed, payments.PaymentMismatched),
    moot=(payments.PaymentVoided, payments.PaymentRefunded),
)
COMMIT = SagaStep(
    "commit",
    after=(orders.OrderConfirmed,),
    done=(inventory.StockCommitted,),
    moot=(inventory.StockReleased,),
)
ATTENTION = SagaStep(
    "attention",
    after=(orders.OrderConfirmed, payments.PaymentFailed),
    done=(orders.OrderNeedsAttention,),
    moot=(orders.OrderCancelled, orders.OrderResolved),
)
MISMATCH_ATTENTION = replace(ATTENTION, after=(orders.OrderConfirmed, payments.PaymentMismatched))
# Staff have settled the payment, or had its request repeated with success.
RESOLUTION = SagaStep(
    "resolution",
    after=(orders.OrderConfirmed, payments.PaymentResolved),
    done=(orders.OrderResolved,),
    moot=(orders.OrderCancelled,),
)

# The compensation of a cancelled order.
RELEASE = SagaStep(
    "release", after=(orders.OrderCancelled, inventory.StockReserved), done=(inventory.StockReleased,)
)
VOID_OR_REFUND = SagaStep(
    "void or refund",
    after=(orders.OrderCancelled, payments.PaymentAuthorized),
    needs=(inventory.StockReserved,),
    done=(payments.PaymentRefunded, payments.PaymentVoided),
    failed=(payments.PaymentMismatched,),
)

STEPS = (
    STOCK,
    PAYMENT,
    CONFIRMATION,
    OUT_OF_STOCK,
    DECLINED,
    CAPTURE,
    COMMIT,
    ATTENTION,
    MISMATCH_ATTENTION,
    RESOLUTION,
    RELEASE,
    VOID_OR_REFUND,
)
# The warehouse decides when a parcel leaves, so nothing awaits this step.
DISPATCH = SagaStep("dispatch", after=(orders.OrderConfirmed,), done=(orders.OrderDispatched,))


def awaited(events: Set[EventType], steps: Iterable[SagaStep] = STEPS) -> list[SagaStep]:
    """The steps whose results are still to come for an order with these events."""
    return [step for step in steps if step.is_awaited(events)]


@cache
def implied(event: EventType) -> frozenset[EventType]:
    """The events that an order with this event must have, too, whether or not they have arrived.

    If several steps have this result, only what all of them need is implied.
    """
    needed = [
        step.after if step.needs is None else step.needs
        for step in (*STEPS, DISPATCH)
        if event in step.results
    ]
    closures = [frozenset(events).union(*map(implied, events)) for events in needed]
    return frozenset.intersection(*closures) if closures else frozenset()


def with_implied(events: Iterable[EventType]) -> frozenset[EventType]:
    """The events, and all that they imply."""
    known = frozenset(events)
    return known.union(*map(implied, known))
