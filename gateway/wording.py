"""What was told of an order in plain words: a sentence each for the list of all news, which leaves nothing out, and the
pieces of which the picture makes its own."""

from collections.abc import Callable, Mapping

from contracts import inventory, notifications, orders, payments
from contracts.message import Event
from contracts.notifications import MailKind
from contracts.orders import CancelReason, RefuseReason
from contracts.payments import DeclineReason
from gateway.journey import Journey, Status, Told

REASONS: Mapping[str, str] = {
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


def what_is_short(rejected: Told) -> str:
    return f"Not enough left of {rejected.detail}." if rejected.detail else "Something of it is sold out."


def why_declined(declined: Told) -> str:
    return _DECLINES.get(declined.detail, "the card was not accepted")


def which_mail(told: Told) -> str:
    return _MAILS.get(told.detail, "the news")


def _why_not_cancelled(told: Told) -> str:
    return _REFUSALS.get(told.detail, "it is not possible any more")


NEWS: Mapping[type[Event], str | Callable[[Told], str]] = {
    orders.OrderPlaced: "The order is taken, and its prices are fixed.",
    orders.OrderRejected: lambda told: f"The order was not taken: {told.detail.rstrip('.')}.",
    orders.OrderConfirmed: "The order is confirmed.",
    orders.OrderCancelled: lambda told: f"The order is cancelled. {REASONS.get(told.detail, '')}".strip(),
    orders.OrderDispatched: "The parcel has left.",
    orders.OrderNeedsAttention: "Somebody at the shop has to look at the order.",
    orders.PlacementRefused: "A different order under the same number was refused; this one stays as it is.",
    orders.CancellationRefused: lambda told: f"It could not be cancelled: {_why_not_cancelled(told)}.",
    inventory.StockReserved: "The items are reserved for you.",
    inventory.StockRejected: what_is_short,
    inventory.StockReleased: "The items are released; others can have them.",
    inventory.StockCommitted: "The items are on the warehouse's picking list.",
    payments.PaymentAuthorized: "The total is set aside on your card.",
    payments.PaymentDeclined: lambda told: f"The payment was refused: {why_declined(told)}.",
    payments.PaymentCaptured: "The total is taken from your card.",
    payments.PaymentFailed: "What was set aside on your card could not be taken.",
    payments.PaymentMismatched: MISMATCHED,
    payments.PaymentVoided: "What was set aside on your card is free again.",
    payments.PaymentRefunded: "The money goes back to your card.",
    notifications.MailSent: lambda told: f"We e-mailed you {which_mail(told)}.",
    notifications.MailSuperseded: lambda told: (
        f"We did not e-mail you {which_mail(told)}, because there was newer news by then."
    ),
    notifications.MailUndeliverable: lambda told: (
        f"We could not e-mail you {which_mail(told)}. Your order is not affected."
    ),
}
"""All that the gateway hears of orders, and how it passes it on."""

_SENTENCES: Mapping[str, str | Callable[[Told], str]] = {
    **{event.TYPE: sentence for event, sentence in NEWS.items()},
    "received": "We received your order.",
    "cancellation_requested": "You asked to cancel the order.",
}


def in_words(told: Told) -> str:
    """What a newer service says, an older gateway does not know; that is no reason to keep silent."""
    sentence = _SENTENCES.get(told.type, "Update received.")
    return sentence if isinstance(sentence, str) else sentence(told)


def status_in_words(journey: Journey) -> str:
    refunded = any(told.type == payments.PaymentRefunded.TYPE for told in journey.told)
    if journey.status is Status.CANCELLED and refunded:
        return "Cancelled, money given back"
    return _STATUSES[journey.status]
