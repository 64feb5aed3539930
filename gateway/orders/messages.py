"""Customer-facing texts about orders: a sentence for each event, and the phrases that the progress uses."""

from collections.abc import Callable, Mapping

from contracts import inventory, notifications, orders, payments
from contracts.message import Event
from contracts.notifications import MailKind
from contracts.orders import CancelReason, RefuseReason
from contracts.payments import DeclineReason
from gateway.orders.timeline import OrderTimeline, TimelineEntry, TimelineStatus

CANCELLATION_MESSAGES: Mapping[str, str] = {
    CancelReason.OUT_OF_STOCK: "Something in it is sold out.",
    CancelReason.PAYMENT_DECLINED: "The payment was refused.",
    CancelReason.CUSTOMER: "As you asked.",
    CancelReason.DEADLINE: "We could not complete it in time.",
}
_DECLINES: Mapping[str, str] = {
    DeclineReason.REFUSED: "the issuer of your card refused it",
    DeclineReason.INSUFFICIENT_FUNDS: "insufficient funds",
    DeclineReason.EXPIRED_CARD: "the card has expired",
    DeclineReason.UNKNOWN_CARD: "the issuer does not know the card",
    DeclineReason.PROVIDER_MISMATCH: "the payment provider's answer does not match your order",
}
MISMATCHED = "The payment provider's answer does not match your order. The shop checks it."
_MAILS: Mapping[str, str] = {
    MailKind.ORDER_CONFIRMED: "the confirmation",
    MailKind.ORDER_DISPATCHED: "the news that your parcel has left",
    MailKind.ORDER_CANCELLED: "the cancellation",
    MailKind.PAYMENT_REFUNDED: "the refund",
}
_REFUSALS: Mapping[str, str] = {
    RefuseReason.ALREADY_DISPATCHED: "the parcel has left",
    RefuseReason.ALREADY_ENDED: "the order has ended already",
}
_STATUSES: Mapping[TimelineStatus, str] = {
    TimelineStatus.NEW: "Not known yet",
    TimelineStatus.SENDING: "Being sent",
    TimelineStatus.RECEIVED: "Being prepared",
    TimelineStatus.PLACED: "Being prepared",
    TimelineStatus.CONFIRMED: "Confirmed",
    TimelineStatus.DISPATCHED: "On its way to you",
    TimelineStatus.NEEDS_ATTENTION: "We look at it",
    TimelineStatus.CANCELLED: "Cancelled",
    TimelineStatus.REJECTED: "Not taken",
}


def shortage_message(rejected: TimelineEntry) -> str:
    return f"Not enough left of {rejected.detail}." if rejected.detail else "Something of it is sold out."


def decline_reason(declined: TimelineEntry) -> str:
    return _DECLINES.get(declined.detail, "the card was not accepted")


def mail_name(entry: TimelineEntry) -> str:
    return _MAILS.get(entry.detail, "the news")


def _why_not_cancelled(entry: TimelineEntry) -> str:
    return _REFUSALS.get(entry.detail, "it is not possible any more")


EVENT_MESSAGES: Mapping[type[Event], str | Callable[[TimelineEntry], str]] = {
    orders.OrderPlaced: "The order is taken, and its prices are fixed.",
    orders.OrderRejected: lambda entry: f"The order was not taken: {entry.detail.rstrip('.')}.",
    orders.OrderConfirmed: "The order is confirmed.",
    orders.OrderCancelled: lambda entry: (
        f"The order is cancelled. {CANCELLATION_MESSAGES.get(entry.detail, '')}".strip()
    ),
    orders.OrderDispatched: "The parcel has left.",
    orders.OrderNeedsAttention: "Somebody at the shop has to look at the order.",
    orders.PlacementRefused: "A different order under the same number was refused; this one stays as it is.",
    orders.CancellationRefused: lambda entry: f"It could not be cancelled: {_why_not_cancelled(entry)}.",
    inventory.StockReserved: "The items are reserved for you.",
    inventory.StockRejected: shortage_message,
    inventory.StockReleased: "The items are released; others can have them.",
    inventory.StockCommitted: "The items are on the warehouse's picking list.",
    payments.PaymentAuthorized: "The total is set aside on your card.",
    payments.PaymentDeclined: lambda entry: f"The payment was refused: {decline_reason(entry)}.",
    payments.PaymentCaptured: "The total is taken from your card.",
    payments.PaymentFailed: "What was set aside on your card could not be taken.",
    payments.PaymentMismatched: MISMATCHED,
    payments.PaymentVoided: "What was set aside on your card is free again.",
    payments.PaymentRefunded: "The money goes back to your card.",
    notifications.MailSent: lambda entry: f"We e-mailed you {mail_name(entry)}.",
    notifications.MailSuperseded: lambda entry: (
        f"We did not e-mail you {mail_name(entry)}, because there was newer news by then."
    ),
    notifications.MailUndeliverable: lambda entry: (
        f"We could not e-mail you {mail_name(entry)}. Your order is not affected."
    ),
}
"""All events that the gateway handles, with their customer message."""

_SENTENCES: Mapping[str, str | Callable[[TimelineEntry], str]] = {
    **{event.TYPE: sentence for event, sentence in EVENT_MESSAGES.items()},
    "received": "We received your order.",
    "cancellation_requested": "You asked to cancel the order.",
}


def describe_entry(entry: TimelineEntry) -> str:
    """A generic sentence for event types that a newer service has added."""
    sentence = _SENTENCES.get(entry.type, "Update received.")
    return sentence if isinstance(sentence, str) else sentence(entry)


def describe_status(timeline: OrderTimeline) -> str:
    refunded = any(entry.type == payments.PaymentRefunded.TYPE for entry in timeline.told)
    if timeline.status is TimelineStatus.CANCELLED and refunded:
        return "Cancelled, money given back"
    return _STATUSES[timeline.status]
