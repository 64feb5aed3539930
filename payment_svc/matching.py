"""Compares the provider's result with the payment's request. Pure functions."""

from dataclasses import replace

from contracts.http.payments import PaymentStatus
from contracts.values import Money
from payment_svc.payment import (
    Authorized,
    Captured,
    CardResult,
    NeverDone,
    Payment,
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

# What staff do about a request that the provider has not carried out within a day.
REPEAT = "; then have it repeated, or do it by hand there and mark it as settled"
RELEASE = "; if the card still has a hold, release it there, then mark it as settled"


def mismatch(payment: Payment, result: CardResult) -> str:
    """How the result differs from the request, as text for staff; empty if it does not."""
    match result:
        case UnusableResponse(requested, detail):
            return detail if _is_about(payment, requested) else ""
        case NeverDone(requested, detail):
            return detail + REPEAT if _is_about(payment, requested) else ""
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


def release_mismatch(payment: Payment, result: Voided | UnusableResponse | NeverDone) -> str:
    """As `mismatch`, for the release of a hold after a settlement, which leaves the status as it is."""
    differs = mismatch(replace(payment, status=PaymentStatus.VOIDING), result)
    return result.detail + RELEASE if differs and isinstance(result, NeverDone) else differs


def _is_about(payment: Payment, requested: str) -> bool:
    return requested == key(payment, _EFFECTS.get(payment.status, ""))


def refund_mismatch(payment: Payment, amount: Money, result: Refunded | UnusableResponse) -> str:
    """How the result of a refund of a part differs from the request; empty if it does not."""
    if isinstance(result, UnusableResponse):
        return result.detail
    return _other_reference(payment, result.reference) or _other_amount("refund", amount, result.amount)


def key(payment: Payment, effect: str) -> str:
    """The idempotency key: one effect of each kind per order, which the provider executes once.

    A request that staff have repeated has a key of its own; the one before it had no effect.
    """
    return f"{payment.order_id}:{effect}" + (f":{payment.attempt}" if payment.retried == effect else "")


def _other_amount(effect: str, requested: Money, reported: Money) -> str:
    return (
        ""
        if reported == requested
        else f"asked to {effect} {requested}, the card provider answers {reported}"
    )


def _other_reference(payment: Payment, reported: str) -> str:
    if reported == payment.reference:
        return ""
    return f"asked about the authorisation {payment.reference}, the card provider answers about {reported}"
