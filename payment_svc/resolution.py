"""What staff decide about a payment that no rule can continue: repeat the last request under a new key,
or mark it as settled outside our requests to the card provider. Pure functions.
"""

from collections.abc import Iterable
from dataclasses import replace

from chassis.core.decision import Context, Decision, OutOfTurn
from contracts import payments
from contracts.http.payments import UNRESOLVED, Hold, PaymentStatus
from contracts.payments import Effect, Settlement, SettlementReason
from contracts.values import Money
from payment_svc import partial_refunds
from payment_svc import payment as card
from payment_svc.matching import release_mismatch
from payment_svc.partial_refunds import unclear_refunds, with_clear, without_unclear
from payment_svc.payment import Payment

Recalled = payments.PaymentResolved | partial_refunds.Recalled
_REPEATED = {
    Effect.CAPTURE: (PaymentStatus.CAPTURING, payments.Capture),
    Effect.VOID: (PaymentStatus.VOIDING, payments.Void),
    Effect.REFUND: (PaymentStatus.REFUNDING, payments.Refund),
}
_DONE = {
    Effect.CAPTURE: PaymentStatus.CAPTURED,
    Effect.VOID: PaymentStatus.VOIDED,
    Effect.REFUND: PaymentStatus.REFUNDED,
}


def retryable(payment: Payment) -> Effect | None:
    """The effect that may be requested again, because the request before it certainly had none."""
    if payment.status is PaymentStatus.FAILED and payment.reference:
        return Effect.CAPTURE
    return payment.unclear if payment.unanswered else None


def resolve(payment: Payment, command: payments.RetryPayment | payments.SettlePayment) -> Decision[Payment]:
    match command:
        case payments.RetryPayment():
            return retry(payment, command)
        case payments.SettlePayment():
            return settle(payment, command)


def retry(payment: Payment, command: payments.RetryPayment) -> Decision[Payment]:
    effect = retryable(payment)
    if effect is None:
        why = (
            "what the card provider did is unknown; compare its books, then mark the payment as settled"
            if payment.status in UNRESOLVED
            else f"the payment is {payment.status.replace('_', ' ')}"
        )
        return refuse(payment, command, f"not repeated: {why}")
    status, repeated = _REPEATED[effect]
    again = replace(
        payment, status=status, attempt=payment.attempt + 1, retried=effect, unclear=None, unanswered=False
    )
    return Decision(replace(again, detail=""), repeated(order_id=payment.order_id, attempt=again.attempt))


def settle(payment: Payment, command: payments.SettlePayment) -> Decision[Payment]:
    if payment.status not in UNRESOLVED and payment.hold is Hold.UNCLEAR:
        return settle_hold(payment, command)
    if payment.status not in UNRESOLVED:
        return refuse(payment, command, f"not settled: the payment is {payment.status.replace('_', ' ')}")
    if is_recorded(payment, command.settlement):  # the same settlement under another message id
        return refuse(payment, command, "not settled: this settlement is recorded already")
    effect = settled_effect(payment, command.settlement)
    if why := _imbalance(payment, effect, command.settlement):
        return refuse(payment, command, f"not settled: {why}")
    resolved = _resolved(payment, effect, command)
    settled = with_settlement(payment, effect, command.settlement)
    is_held = payment.status is PaymentStatus.FAILED
    voids = (payments.Void(order_id=payment.order_id),) if is_held else ()
    return Decision(settled, *voids, resolved)


def settle_hold(payment: Payment, command: payments.SettlePayment) -> Decision[Payment]:
    """Staff have found out that nothing is held any more; everything else was settled before."""
    settlement = command.settlement
    if is_recorded(payment, settlement):
        return refuse(payment, command, "not settled: this settlement is recorded already")
    if settlement.reason is not SettlementReason.RELEASED:
        return refuse(payment, command, "not settled: only the release of the authorised amount is unclear")
    if why := _imbalance(payment, Effect.VOID, settlement):
        return refuse(payment, command, f"not settled: {why}")
    return Decision(without_hold(payment, settlement), _resolved(payment, Effect.VOID, command))


def _resolved(payment: Payment, effect: Effect, command: payments.SettlePayment) -> payments.PaymentResolved:
    return payments.PaymentResolved(
        order_id=payment.order_id,
        effect=effect,
        attempt=payment.attempt,
        settlement=command.settlement,
        staff_id=command.staff_id,
    )


def after_release(
    payment: Payment, result: card.Voided | card.UnusableResponse | card.NeverDone
) -> Payment | None:
    """The payment after the card provider's answer about the release; None if it is not about one.

    The order goes on, because its payment is settled. If the answer differs from the request, staff find out
    whether the card still has a hold.
    """
    if payment.hold is not Hold.RELEASING:
        return None
    if detail := release_mismatch(payment, result):
        details = "; ".join(filter(None, (payment.detail, detail)))
        return replace(payment, hold=Hold.UNCLEAR, detail=details)
    return replace(payment, hold=None) if isinstance(result, card.Voided) else None


def without_hold(payment: Payment, settlement: Settlement) -> Payment:
    return replace(payment, hold=None, settlements=(*payment.settlements, settlement))


def is_recorded(payment: Payment, settlement: Settlement) -> bool:
    """Whether staff have settled the payment by the same amount, for the same reason and reference before.

    The order may have been cancelled since, which makes the payment unresolved again.
    """
    return settlement in (*payment.settlements, *payment.given_up, *payment.not_refunded)


def is_repeated(payment: Payment, command: payments.Capture | payments.Void | payments.Refund) -> bool:
    """Whether staff have had the request of this command repeated since: its own key is given up."""
    repeated = payment.retried is not None and isinstance(command, _REPEATED[payment.retried][1])
    return repeated and command.attempt < payment.attempt


def refuse(
    payment: Payment, command: payments.RetryPayment | payments.SettlePayment, detail: str
) -> Decision[Payment]:
    refused = payments.ResolutionRefused(order_id=command.order_id, staff_id=command.staff_id, detail=detail)
    return Decision(payment, refused)


def settled_effect(payment: Payment, settlement: Settlement) -> Effect:
    """The effect that the settlement stands for: a capture if the order goes on."""
    returned = settlement.reason in (SettlementReason.RETURNED, SettlementReason.RELEASED)
    if payment.unclear in (Effect.VOID, Effect.REFUND):
        return payment.unclear
    # Earlier versions did not store which effect was unclear.
    if payment.cancelled or (
        payment.unclear is None and returned and payment.status is not PaymentStatus.FAILED
    ):
        return Effect.REFUND if settlement.reason is SettlementReason.RETURNED else Effect.VOID
    return Effect.CAPTURE


def with_settlement(payment: Payment, effect: Effect, settlement: Settlement) -> Payment:
    if unclear_refunds(payment) and effect is Effect.CAPTURE and _moved_nothing(settlement):
        settled = replace(without_unclear(payment), unclear=None, unanswered=False)
        return with_record(settled.to(PaymentStatus.CAPTURED), effect, settlement)
    # A failed capture leaves the authorisation, and the customer does not pay by card any more.
    hold = Hold.RELEASING if payment.status is PaymentStatus.FAILED else payment.hold
    settled = replace(with_clear(payment), unclear=None, unanswered=False, hold=hold)
    return replace(settled, status=_DONE[effect], settlements=(*payment.settlements, settlement))


def with_record(payment: Payment, effect: Effect, settlement: Settlement) -> Payment:
    """What staff have settled about a payment whose effect is done.

    The provider has captured it, so the settlement is about a refund of a part. If no money moved, the
    payment is as it was before that refund, and others may follow.
    """
    if effect is Effect.CAPTURE and _moved_nothing(settlement):
        return replace(payment, not_refunded=(*payment.not_refunded, settlement))
    return replace(payment, settlements=(*payment.settlements, settlement))


def _moved_nothing(settlement: Settlement) -> bool:
    return settlement.reason is SettlementReason.RELEASED


def repeated_with_success(payment: Payment, effect: Effect) -> Iterable[payments.PaymentResolved]:
    """The event about an effect that staff have had repeated; none about any other."""
    if payment.retried is effect:
        yield payments.PaymentResolved(order_id=payment.order_id, effect=effect, attempt=payment.attempt)


def after_settlement(payment: Payment) -> Payment:
    """The order is cancelled after its payment was settled: what was given up is no longer owed."""
    owed = tuple(each for each in payment.settlements if each.reason is not SettlementReason.WRITTEN_OFF)
    given_up = tuple(each for each in payment.settlements if each not in owed)
    return replace(payment, cancelled=True, settlements=owed, given_up=(*payment.given_up, *given_up))


def _imbalance(payment: Payment, effect: Effect, settlement: Settlement) -> str:
    """Why the books would not balance; empty if they do, or if only the provider's books can say so."""
    if settlement.amount.currency != payment.total.currency:
        return f"the order is in {payment.total.currency}"
    if settlement.reason is SettlementReason.RELEASED and not settlement.amount.is_zero:
        return "nothing moves if a payment is released, so its amount is 0"
    if payment.status is not PaymentStatus.FAILED and not payment.unanswered:
        return ""
    total_minor = payment.total.amount_minor
    taken_minor = total_minor if payment.unclear is Effect.REFUND else 0
    due_minor = total_minor if effect is Effect.CAPTURE else 0
    missing_minor = due_minor - taken_minor - sum(each.balance_minor for each in payment.settlements)
    if settlement.balance_minor == missing_minor:
        return ""
    missing = Money(amount_minor=abs(missing_minor), currency=payment.total.currency)
    direction = "must be paid or written off" if missing_minor > 0 else "must be returned"
    return f"the books would not balance: {missing} {direction}" if missing_minor else "no money may move"


def recall(payment: Payment, event: Recalled, _: Context[object]) -> Decision[Payment]:
    """What followed from staff's commands and the card provider's answers about parts, after the database
    was set back.
    """
    match event:
        case payments.PaymentResolved():
            return recall_resolution(payment, event)
        case _:
            return partial_refunds.recall(payment, event)


def recall_resolution(payment: Payment, event: payments.PaymentResolved) -> Decision[Payment]:
    known = replace(payment, attempt=max(payment.attempt, event.attempt))
    match payment.status:
        case _ if event.settlement is not None and is_recorded(payment, event.settlement):
            return Decision(known)
        case _ if event.settlement is not None and event.effect is Effect.VOID and payment.hold is not None:
            return Decision(without_hold(known, event.settlement))
        case status if event.settlement is not None and (
            status is _DONE[event.effect] or (status is PaymentStatus.CAPTURING and payment.refunds)
        ):
            return Decision(with_record(known, event.effect, event.settlement))
        case _ if payment.status is _DONE[event.effect]:
            return Decision(known)
        case _ if event.settlement is not None and payment.status in UNRESOLVED:
            return Decision(with_settlement(known, event.effect, event.settlement))
        case PaymentStatus.CAPTURING | PaymentStatus.VOIDING | PaymentStatus.REFUNDING if (
            event.settlement is None
        ):
            return Decision(known.to(_DONE[event.effect]))
        case _ if event.settlement is None and payment.status in UNRESOLVED:
            done = replace(known, retried=event.effect, unclear=None, unanswered=False, detail="")
            return Decision(done.to(_DONE[event.effect]))
        case _:
            raise OutOfTurn(payment, event)
