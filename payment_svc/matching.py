"""Compares the provider's result with the payment's request. Pure functions."""

from contracts.values import Money
from payment_svc.payment import (
    Authorized,
    Captured,
    CardResult,
    Payment,
    PaymentStatus,
    Refunded,
    UnusableResponse,
    Voided,
)

_EFFECTS = {
    PaymentStatus.AUTHORIZING: "authorize",
    PaymentStatus.CAPTURING: "capture",
    PaymentStatus.VOIDING: "void",
    PaymentStatus.REFUNDING: "refund",
}


def mismatch(payment: Payment, result: CardResult) -> str:
    """How the result differs from the request, as text for staff; empty if it does not."""
    match result:
        case UnusableResponse(asked, detail):
            return detail if asked == key(payment, _EFFECTS.get(payment.status, "")) else ""
        case Authorized(_, amount):
            return _other_amount("authorise", payment.total, amount)
        case Captured(reference, amount):
            return _other_reference(payment, reference) or _other_amount("capture", payment.total, amount)
        case Refunded(reference, amount):
            return _other_reference(payment, reference) or _other_amount("refund", payment.total, amount)
        case Voided(reference, amount) if payment.reference:
            held = payment.authorized or payment.total
            return _other_reference(payment, reference) or _other_amount("void", held, amount)
        case _:
            return ""


def key(payment: Payment, effect: str) -> str:
    """The idempotency key: one effect of each kind per order, which the provider executes once."""
    return f"{payment.order_id}:{effect}"


def _other_amount(effect: str, asked: Money, answered: Money) -> str:
    return "" if answered == asked else f"asked to {effect} {asked}, the card provider answers {answered}"


def _other_reference(payment: Payment, answered: str) -> str:
    if answered == payment.reference:
        return ""
    return f"asked about the authorisation {payment.reference}, the card provider answers about {answered}"
