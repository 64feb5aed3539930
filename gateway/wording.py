"""What was told of an order, one plain sentence each: for the list of all news, which leaves nothing out."""

from collections.abc import Mapping

from contracts import inventory, notifications, orders, payments
from contracts.orders import RefuseReason
from gateway.journey import Journey, Status, Told
from gateway.stops import DECLINES, MAILS
from gateway.undoing import REASONS

_PLAIN: Mapping[str, str] = {
    "received": "We received your order.",
    "cancellation_requested": "You asked to cancel the order.",
    orders.OrderPlaced.TYPE: "The order is taken, and its prices are fixed.",
    orders.OrderConfirmed.TYPE: "The order is confirmed.",
    orders.OrderDispatched.TYPE: "The parcel has left.",
    orders.OrderNeedsAttention.TYPE: "Somebody at the shop has to look at the order.",
    orders.PlacementRefused.TYPE: "A different order under the same number was refused; this one stays as it is.",
    inventory.StockReserved.TYPE: "The items are reserved for you.",
    inventory.StockReleased.TYPE: "The items are released; others can have them.",
    inventory.StockCommitted.TYPE: "The items are on the warehouse's picking list.",
    payments.PaymentAuthorized.TYPE: "The total is set aside on your card.",
    payments.PaymentCaptured.TYPE: "The total is taken from your card.",
    payments.PaymentFailed.TYPE: "What was set aside on your card could not be taken.",
    payments.PaymentVoided.TYPE: "What was set aside on your card is free again.",
    payments.PaymentRefunded.TYPE: "The money goes back to your card.",
}
_REFUSALS: Mapping[str, str] = {
    RefuseReason.ALREADY_DISPATCHED: "the parcel has left",
    RefuseReason.ALREADY_ENDED: "the order has ended already",
}
_STATUSES: Mapping[Status, str] = {
    Status.NEW: "Not known yet",
    Status.SENDING: "Being sent",
    Status.RECEIVED: "Being prepared",
    Status.PLACED: "Being prepared",
    Status.CONFIRMED: "Confirmed",
    Status.DISPATCHED: "On its way to you",
    Status.NEEDS_ATTENTION: "We look at it",
    Status.CANCELLED: "Cancelled",
    Status.REJECTED: "Not taken",
}


def in_words(told: Told) -> str:
    """What a newer service says, an older gateway does not know; that is no reason to keep silent."""
    match told.type:
        case orders.OrderRejected.TYPE:
            return f"The order was not taken: {told.detail.rstrip('.')}."
        case orders.OrderCancelled.TYPE:
            return f"The order is cancelled. {REASONS.get(told.detail, '')}".strip()
        case orders.CancellationRefused.TYPE:
            return f"It could not be cancelled: {_REFUSALS.get(told.detail, 'it is not possible any more')}."
        case inventory.StockRejected.TYPE:
            return f"Not enough left of {told.detail}." if told.detail else "Something of it is sold out."
        case payments.PaymentDeclined.TYPE:
            return f"The payment was refused: {DECLINES.get(told.detail, 'the card was not accepted')}."
        case notifications.MailSent.TYPE:
            return f"We e-mailed you {_mail(told)}."
        case notifications.MailUndeliverable.TYPE:
            return f"We could not e-mail you {_mail(told)}. Your order is not affected."
        case _:
            return _PLAIN.get(told.type, "Update received.")


def status_in_words(journey: Journey) -> str:
    refunded = any(told.type == payments.PaymentRefunded.TYPE for told in journey.told)
    if journey.status is Status.CANCELLED and refunded:
        return "Cancelled, money given back"
    return _STATUSES[journey.status]


def _mail(told: Told) -> str:
    return MAILS.get(told.detail, "the news")
