"""Customer-facing texts about orders: a sentence for each event, and the phrases that the progress uses."""

from collections.abc import Callable, Mapping

from chassis.messaging.message import Event
from contracts import inventory, notifications, orders, payments
from contracts.notifications import MailKind
from contracts.orders import CancelReason, RefuseReason
from contracts.payments import DeclineReason, SettlementReason
from gateway.orders.timeline import OrderTimeline, TimelineEntry, TimelineStatus

CANCELLATION_MESSAGES: Mapping[str, str] = {
    CancelReason.OUT_OF_STOCK: "An item is out of stock.",
    CancelReason.PAYMENT_DECLINED: "The payment was declined.",
    CancelReason.CUSTOMER: "You requested the cancellation.",
    CancelReason.DEADLINE: "We could not complete it in time.",
}
_DECLINES: Mapping[str, str] = {
    DeclineReason.REFUSED: "the card issuer declined it",
    DeclineReason.INSUFFICIENT_FUNDS: "insufficient funds",
    DeclineReason.EXPIRED_CARD: "the card has expired",
    DeclineReason.UNKNOWN_CARD: "the card issuer does not recognise the card",
    DeclineReason.PROVIDER_MISMATCH: "the payment provider's response does not match your order",
}
_SETTLEMENTS: Mapping[str, str] = {
    SettlementReason.PAID: "We received your payment in another way.",
    SettlementReason.WRITTEN_OFF: "You do not need to pay for this order.",
    SettlementReason.RETURNED: "You have your money back.",
    SettlementReason.RELEASED: "No money is held for this order.",
}
MISMATCHED = "The payment provider's response does not match your order. We are checking it."
_MAILS: Mapping[str, str] = {
    MailKind.ORDER_CONFIRMED: "the order confirmation",
    MailKind.ORDER_DISPATCHED: "the dispatch notice",
    MailKind.ORDER_CANCELLED: "the cancellation notice",
    MailKind.PAYMENT_REFUNDED: "the refund notice",
}
_REFUSALS: Mapping[str, str] = {
    RefuseReason.ALREADY_DISPATCHED: "the parcel has already been dispatched",
    RefuseReason.ALREADY_ENDED: "it has already ended",
}
_STATUSES: Mapping[TimelineStatus, str] = {
    TimelineStatus.NEW: "Not available yet",
    TimelineStatus.SENDING: "Being submitted",
    TimelineStatus.RECEIVED: "Being prepared",
    TimelineStatus.PLACED: "Being prepared",
    TimelineStatus.CONFIRMED: "Confirmed",
    TimelineStatus.DISPATCHED: "On its way to you",
    TimelineStatus.NEEDS_ATTENTION: "Under review",
    TimelineStatus.CANCELLED: "Cancelled",
    TimelineStatus.REJECTED: "Not accepted",
}


def shortage_message(rejected: TimelineEntry) -> str:
    return f"Not enough stock of {rejected.detail}." if rejected.detail else "An item is out of stock."


def decline_reason(declined: TimelineEntry) -> str:
    return _DECLINES.get(declined.detail, "the card was not accepted")


def settlement_message(resolved: TimelineEntry) -> str:
    return _SETTLEMENTS.get(resolved.detail, "The problem with the payment is solved.")


def mail_name(entry: TimelineEntry) -> str:
    return _MAILS.get(entry.detail, "an update")


def _why_not_cancelled(entry: TimelineEntry) -> str:
    return _REFUSALS.get(entry.detail, "a cancellation is no longer possible")


def _refund_message(entry: TimelineEntry) -> str:
    items = f", for {', '.join(entry.items)}" if entry.items else ""
    return f"{entry.detail} of your payment is refunded to your card{items}."


EVENT_MESSAGES: Mapping[type[Event], str | Callable[[TimelineEntry], str]] = {
    orders.OrderPlaced: "The order is accepted, and its prices are fixed.",
    orders.OrderRejected: lambda entry: f"The order was not accepted: {entry.detail.rstrip('.')}.",
    orders.OrderConfirmed: "The order is confirmed.",
    orders.OrderCancelled: lambda entry: (
        f"The order is cancelled. {CANCELLATION_MESSAGES.get(entry.detail, '')}".strip()
    ),
    orders.OrderDispatched: "The parcel has been dispatched.",
    orders.TrackingRecorded: lambda entry: f"The tracking reference of your parcel is {entry.detail}.",
    orders.OrderNeedsAttention: "The order needs a manual review by the shop.",
    orders.OrderResolved: "The shop has reviewed the order, and it goes on.",
    orders.PlacementRefused: "A different order with the same number was refused; this order is unchanged.",
    orders.CancellationRefused: lambda entry: (
        f"The order could not be cancelled: {_why_not_cancelled(entry)}."
    ),
    inventory.StockReserved: "The items are reserved for you.",
    inventory.StockRejected: shortage_message,
    inventory.StockReleased: "The items are no longer reserved.",
    inventory.StockCommitted: "The items are on the warehouse's picking list.",
    payments.PaymentAuthorized: "The total is reserved on your card.",
    payments.PaymentDeclined: lambda entry: f"The payment was declined: {decline_reason(entry)}.",
    payments.PaymentResolved: settlement_message,
    payments.PaymentPartRefunded: _refund_message,
    payments.PaymentCaptured: "The total has been charged to your card.",
    payments.PaymentFailed: "The amount reserved on your card could not be charged.",
    payments.PaymentMismatched: MISMATCHED,
    payments.PaymentVoided: "The amount reserved on your card has been released.",
    payments.PaymentRefunded: "The refund to your card has been issued.",
    notifications.MailSent: lambda entry: f"We e-mailed you {mail_name(entry)}.",
    notifications.MailSuperseded: lambda entry: (
        f"We did not e-mail you {mail_name(entry)}, because it was out of date."
    ),
    notifications.MailUndeliverable: lambda entry: (
        f"We could not e-mail you {mail_name(entry)}. Your order is not affected."
    ),
}
"""The customer message of each order event that the gateway handles."""

_SENTENCES: Mapping[str, str | Callable[[TimelineEntry], str]] = {
    **{event.TYPE: sentence for event, sentence in EVENT_MESSAGES.items()},
    "received": "We received your order.",
    "cancellation_requested": "You requested a cancellation.",
}


_FREE_SENTENCES: Mapping[str, str] = {
    payments.PaymentAuthorized.TYPE: "There is nothing to pay.",
    payments.PaymentCaptured.TYPE: "Nothing was charged, because there is nothing to pay.",
    payments.PaymentVoided.TYPE: "There is nothing to refund.",
}


def describe_entry(entry: TimelineEntry, timeline: OrderTimeline) -> str:
    """The customer message of the entry; a generic one for an unknown event type of a newer service."""
    if timeline.is_free and entry.type in _FREE_SENTENCES:
        return _FREE_SENTENCES[entry.type]
    sentence = _SENTENCES.get(entry.type, "Update received.")
    return sentence if isinstance(sentence, str) else sentence(entry)


def describe_status(timeline: OrderTimeline) -> str:
    refunded = any(entry.type == payments.PaymentRefunded.TYPE for entry in timeline.told)
    if timeline.status is TimelineStatus.CANCELLED and refunded:
        return "Cancelled and refunded"
    return _STATUSES[timeline.status]
