"""What was told of an order in plain words: a sentence each for the list of all news, which leaves nothing out, and the
pieces of which the picture makes its own."""

from collections.abc import Mapping

from contracts import inventory, notifications, orders, payments
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
}
_MAILS: Mapping[str, str] = {
    MailKind.ORDER_CONFIRMED: "the confirmation",
    MailKind.ORDER_DISPATCHED: "the news that your parcel has left",
    MailKind.ORDER_CANCELLED: "the cancellation",
    MailKind.PAYMENT_REFUNDED: "the refund",
}
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
            return what_is_short(told)
        case payments.PaymentDeclined.TYPE:
            return f"The payment was refused: {why_declined(told)}."
        case notifications.MailSent.TYPE:
            return f"We e-mailed you {which_mail(told)}."
        case notifications.MailUndeliverable.TYPE:
            return f"We could not e-mail you {which_mail(told)}. Your order is not affected."
        case _:
            return _PLAIN.get(told.type, "Update received.")


def status_in_words(journey: Journey) -> str:
    refunded = any(told.type == payments.PaymentRefunded.TYPE for told in journey.told)
    if journey.status is Status.CANCELLED and refunded:
        return "Cancelled, money given back"
    return _STATUSES[journey.status]


def what_is_short(rejected: Told) -> str:
    return f"Not enough left of {rejected.detail}." if rejected.detail else "Something of it is sold out."


def why_declined(declined: Told) -> str:
    return _DECLINES.get(declined.detail, "the card was not accepted")


def which_mail(told: Told) -> str:
    return _MAILS.get(told.detail, "the news")
