"""Writes down what is told of an order. The gateway decides nothing about it: order_svc does."""

from dataclasses import replace
from datetime import UTC, datetime

from chassis.decision import Decision
from contracts import inventory, notifications, orders, payments
from contracts.message import Event
from contracts.notifications import MailKind
from contracts.orders import RefuseReason
from gateway.journey import Asked, CancellationSent, Journey, Send, Sent, Status

_ABOUT_ORDERS = (
    MailKind.ORDER_CONFIRMED,
    MailKind.ORDER_DISPATCHED,
    MailKind.ORDER_CANCELLED,
    MailKind.PAYMENT_REFUNDED,
)
_LONG_AGO = datetime.min.replace(tzinfo=UTC)  # the envelope's word for "not known"


def decide(journey: Journey, message: Event | Asked, said_at: datetime = _LONG_AGO) -> Decision[Journey]:
    match message:
        # what its owner asks for
        case Send(customer_id, lines, total, at) if journey.status is Status.NEW:
            begun = replace(journey, customer_id=customer_id, lines=lines, total=total)
            return Decision(begun.reaching(Status.SENDING))
        case Send():
            return Decision(journey)  # sent again, or its first news was faster
        case Sent(at) if journey.status is Status.SENDING:
            return Decision(journey.telling("received", at).reaching(Status.RECEIVED))
        case Sent():
            return Decision(journey)
        case CancellationSent() if journey.told and journey.told[-1].type == "cancellation_requested":
            return Decision(journey)  # a second press of the button
        case CancellationSent(at):
            return Decision(journey.telling("cancellation_requested", at))

        # what order_svc says
        case orders.OrderPlaced(customer_id=who, lines=lines, total=total):
            placed = replace(journey, customer_id=who, lines=lines, total=total)
            return told(placed.reaching(Status.PLACED), message, said_at)
        case orders.OrderRejected(customer_id=who, reason=why, detail=detail, lines=lines):
            rejected = replace(journey.with_requested(lines), customer_id=who, reject_reason=why)
            return told(rejected.reaching(Status.REJECTED), message, said_at, detail)
        case orders.OrderConfirmed(customer_id=who):
            return told(replace(journey, customer_id=who).reaching(Status.CONFIRMED), message, said_at)
        case orders.OrderCancelled(customer_id=who, reason=why, after_confirmation=after):
            cancelled = replace(journey, customer_id=who, cancel_reason=why, after_confirmation=after)
            return told(cancelled.reaching(Status.CANCELLED), message, said_at, why)
        case orders.OrderDispatched(customer_id=who):
            return told(replace(journey, customer_id=who).reaching(Status.DISPATCHED), message, said_at)
        case orders.OrderNeedsAttention(customer_id=who):
            return told(replace(journey, customer_id=who).reaching(Status.NEEDS_ATTENTION), message, said_at)
        case orders.CancellationRefused(reason=RefuseReason.NOT_YOURS):
            return Decision(journey, remember=False)  # somebody else asked: no news for its owner
        case orders.PlacementRefused(reason=why) | orders.CancellationRefused(reason=why):
            return told(journey, message, said_at, why)

        # what the others say
        case inventory.StockRejected(short=short):
            return told(journey, message, said_at, ", ".join(line.sku for line in short))
        case payments.PaymentDeclined(reason=why) | payments.PaymentMismatched(effect=why):
            return told(journey, message, said_at, why)
        case (
            notifications.MailSent(kind=kind)
            | notifications.MailUndeliverable(kind=kind)
            | notifications.MailSuperseded(kind=kind)
        ) if kind in _ABOUT_ORDERS:
            return told(journey, message, said_at, kind)
        case notifications.MailSent() | notifications.MailUndeliverable() | notifications.MailSuperseded():
            return Decision(journey, remember=False)  # about a user, not about an order
        case _:
            return told(journey, message, said_at)


def told(journey: Journey, event: Event | Asked, said_at: datetime, detail: str = "") -> Decision[Journey]:
    assert isinstance(event, Event)
    return Decision(journey.telling(event.TYPE, None if said_at == _LONG_AGO else said_at, detail))
