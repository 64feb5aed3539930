"""Refunds of a part of the captured total, after the dispatch. Several never exceed it. Pure functions."""

from dataclasses import replace
from uuid import UUID

from chassis.core.decision import Decision, OutOfTurn, RunEffect
from contracts import payments
from contracts.http.payments import UNRESOLVED, PaymentStatus
from contracts.values import Money, ReturnedLine
from payment_svc import payment as card
from payment_svc.matching import refund_mismatch
from payment_svc.payment import CardResult, PartialRefund, Payment

REFUNDS_MAX = 50
PartResult = card.Refunded | card.UnusableResponse | card.NeverDone
Recalled = payments.PaymentPartRefunded | payments.RefundRefused
# A refund is requested after the dispatch, so a payment that may still be captured is behind: its capture
# takes long, or its database was set back, and the card provider may have refunded the part already.
MAY_BE_CAPTURED_YET = frozenset(
    {PaymentStatus.NEW, PaymentStatus.AUTHORIZING, PaymentStatus.AUTHORIZED, PaymentStatus.CAPTURING}
)


def refundable_minor(payment: Payment) -> int:
    """What may still be refunded, in minor units."""
    return payment.total.amount_minor - sum(refund.amount.amount_minor for refund in payment.refunds)


# What staff do about a part that was not carried out. A request is not repeated under its id.
REFUND_AGAIN = "; if the customer has nothing back, send a new refund"
RETURN_OUTSIDE = "; if the customer has nothing back, return the amount outside the shop"
SETTLED_OUTSIDE = (
    "no money moves here, because the payment was settled outside; return the amount in the same way"
)


def is_settled_outside(payment: Payment) -> bool:
    """Whether staff give money back outside: the card provider may not have what they settled there."""
    return bool(payment.settlements)


def may_be_granted(payment: Payment, refund_id: UUID) -> bool:
    """False before the capture, because a rejection would be final."""
    return payment.status not in MAY_BE_CAPTURED_YET or _find(payment, refund_id) is not None


def grant(
    payment: Payment, refund_id: UUID, amount: Money, *, returned: tuple[ReturnedLine, ...]
) -> Decision[Payment]:
    if _find(payment, refund_id):
        return Decision(payment)  # the same refund under another message id
    if why := _why_not(payment, amount):
        return Decision(payment, part_refused(payment, refund_id, why))
    if is_settled_outside(payment):
        return Decision(payment, part_refused(payment, refund_id, SETTLED_OUTSIDE, settled_outside=True))
    command = payments.RefundPart(order_id=payment.order_id, refund_id=refund_id)
    refund = PartialRefund(refund_id, amount, returned=returned)
    return Decision(replace(payment, refunds=(*payment.refunds, refund)), command)


def _why_not(payment: Payment, amount: Money) -> str:
    if payment.status is not PaymentStatus.CAPTURED:
        remedy = "; decide about it, then send a new refund" if payment.status in UNRESOLVED else ""
        return f"the payment is {payment.status.replace('_', ' ')}{remedy}"
    if amount.currency != payment.total.currency:
        return f"the order is in {payment.total.currency}"
    if amount.is_zero:
        return "a refund is at least one minor unit of the currency"
    if len(payment.refunds) >= REFUNDS_MAX:
        return f"a payment has at most {REFUNDS_MAX} refunds"
    left_minor = refundable_minor(payment)
    left = Money(amount_minor=max(0, left_minor), currency=payment.total.currency)
    return f"only {left} of {payment.total} are left to refund" if amount.amount_minor > left_minor else ""


def send(payment: Payment, refund_id: UUID) -> Decision[Payment] | RunEffect:
    refund = _find(payment, refund_id)
    if refund is None or refund.done:
        return Decision(payment)
    part = refund.refund_id
    return RunEffect(card.RefundAmount(_key(payment, part), payment.reference, refund.amount, part))


def refund_of(payment: Payment, result: CardResult) -> PartialRefund | None:
    """The partial refund that this result of the provider is about."""
    match result:
        case card.Refunded(part=UUID() as part):
            return _find(payment, part)
        case card.UnusableResponse(key=key) | card.NeverDone(key=key):
            return next((each for each in payment.refunds if key == _key(payment, each.refund_id)), None)
        case _:
            return None


def difference(payment: Payment, refund: PartialRefund, result: PartResult) -> str:
    """How the result differs from the request, as text for staff; empty if it does not, or comes again."""
    if refund.done or isinstance(result, card.NeverDone):
        return ""
    return refund_mismatch(payment, refund.amount, result)


def finish(payment: Payment, refund: PartialRefund, result: PartResult) -> Decision[Payment]:
    if refund.done:
        return Decision(payment)  # the effect ran twice
    if isinstance(result, card.NeverDone):
        outside = is_settled_outside(payment)
        why = result.detail + (RETURN_OUTSIDE if outside else REFUND_AGAIN)
        refused = part_refused(payment, refund.refund_id, why, settled_outside=outside)
        return Decision(without(payment, refund), refused)
    done = with_done(payment, refund)
    return Decision(done, part_refunded(done, refund))


def part_refunded(payment: Payment, refund: PartialRefund) -> payments.PaymentPartRefunded:
    """`payment`: after the refund."""
    return payments.PaymentPartRefunded(
        order_id=payment.order_id,
        customer_id=payment.customer_id,
        refund_id=refund.refund_id,
        amount=refund.amount,
        refunded=payment.refunded,
        returned=refund.returned,
    )


def with_done(payment: Payment, refund: PartialRefund, *, unclear: bool = False) -> Payment:
    done = replace(refund, done=True, unclear=unclear)
    return replace(payment, refunds=tuple(done if each == refund else each for each in payment.refunds))


def without(payment: Payment, refund: PartialRefund) -> Payment:
    """It was not carried out: its amount may be refunded by another one."""
    return replace(payment, refunds=tuple(each for each in payment.refunds if each != refund))


def without_unclear(payment: Payment) -> Payment:
    """Staff have found out that no money moved: what was unclear may be refunded by another one."""
    return replace(payment, refunds=tuple(each for each in payment.refunds if not each.unclear))


def with_clear(payment: Payment) -> Payment:
    """Staff have settled how the provider's books differ from the refunds."""
    return replace(payment, refunds=tuple(replace(refund, unclear=False) for refund in payment.refunds))


def unclear_refunds(payment: Payment) -> list[PartialRefund]:
    return [refund for refund in payment.refunds if refund.unclear]


def recall(payment: Payment, event: Recalled) -> Decision[Payment]:
    """How a refund ended, after the database was set back. It may have ended before the restored capture."""
    if payment.status is PaymentStatus.NEW:
        raise OutOfTurn(payment, event)
    refund = _find(payment, event.refund_id)
    match event:
        case payments.PaymentPartRefunded(refund_id=id_, amount=amount, returned=returned):
            done = PartialRefund(id_, amount, done=True, returned=returned)
            if refund is None:
                return Decision(replace(payment, refunds=(*payment.refunds, done)))
            return Decision(with_done(payment, refund))
        case payments.RefundRefused() if refund is not None and (refund.unclear or not refund.done):
            return Decision(without(payment, refund))
        case _:
            return Decision(payment)


def part_refused(
    payment: Payment, refund_id: UUID, detail: str, *, settled_outside: bool = False
) -> payments.RefundRefused:
    return payments.RefundRefused(
        order_id=payment.order_id, refund_id=refund_id, detail=detail, settled_outside=settled_outside
    )


def _find(payment: Payment, refund_id: UUID) -> PartialRefund | None:
    return next((refund for refund in payment.refunds if refund.refund_id == refund_id), None)


def _key(payment: Payment, refund_id: UUID) -> str:
    return f"{payment.order_id}:part:{refund_id}"
