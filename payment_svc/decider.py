"""The rules of money: authorised when goods are held, captured on confirmation,
voided or refunded on cancellation.

The service sends itself commands to call the card provider; the results are handled by the same `match`.

Long because a payment has many statuses, and every event of this service is emitted here.
"""

from dataclasses import replace

from chassis.core.decision import Context, Decision, OutOfTurn, RunEffect
from contracts import inventory, orders, payments
from contracts.http.payments import Hold, PaymentStatus
from payment_svc import partial_refunds
from payment_svc import payment as card
from payment_svc.matching import key, mismatch
from payment_svc.partial_refunds import refund_of
from payment_svc.payment import CardResult, PartialRefund, Payment
from payment_svc.resolution import (
    after_release,
    after_settlement,
    is_repeated,
    repeated_with_success,
    resolve,
)

Handles = (
    orders.OrderPlaced
    | inventory.StockReserved
    | orders.OrderConfirmed
    | orders.OrderCancelled
    | payments.Authorize
    | payments.Capture
    | payments.Void
    | payments.Refund
    | orders.RefundRequested
    | payments.RefundPart
    | payments.RetryPayment
    | payments.SettlePayment
)
_UNKNOWN_AUTHORIZATION = "the order is confirmed, but the card provider knows no authorisation"


def decide(
    payment: Payment, message: Handles | CardResult, _: Context[object]
) -> Decision[Payment] | RunEffect:
    match payment.status, message:
        case _, card.Refunded() | card.UnusableResponse() | card.NeverDone() if part := refund_of(
            payment, message
        ):
            return finish_part(payment, part, message)

        # the join: an order and its goods, in any order
        case PaymentStatus.NEW, orders.OrderPlaced():
            return authorize_if_complete(learn(payment, message))
        case PaymentStatus.NEW, inventory.StockReserved(order_id=order_id):
            return authorize_if_complete(replace(payment, order_id=order_id, stock_reserved=True))
        case PaymentStatus.NEW, orders.OrderCancelled(after_confirmation=False, order_id=order_id):
            return Decision(replace(payment, status=PaymentStatus.DROPPED, order_id=order_id))
        case (
            PaymentStatus.DROPPED,
            orders.OrderPlaced() | inventory.StockReserved() | orders.OrderCancelled(),
        ):
            return Decision(payment)

        # a total of zero: the card provider is not asked
        case PaymentStatus.AUTHORIZED, orders.OrderConfirmed() if payment.total.is_zero:
            return captured(payment.to(PaymentStatus.CAPTURED))
        case PaymentStatus.AUTHORIZED | PaymentStatus.CAPTURED, orders.OrderCancelled() if (
            payment.total.is_zero
        ):
            return voided(payment)

        # authorise
        case PaymentStatus.AUTHORIZING, payments.Authorize():
            # Also if the order has been cancelled: an earlier request may still be in flight, where a look-up
            # would not find it. This one has the same key, so both have one result, which is voided.
            return RunEffect(
                card.AuthorizeCard(
                    key(payment, "authorize"), payment.order_id, payment.total, payment.card_token
                )
            )
        case PaymentStatus.AUTHORIZING, card.Authorized() | card.UnusableResponse() if detail := mismatch(
            payment, message
        ):
            return decline_and_void(payment, message, detail)
        case PaymentStatus.AUTHORIZING, card.Authorized(reference) if payment.confirmed:
            # Captured even if the order is cancelled by now: what was captured before can only be refunded.
            return authorized(payment.to(PaymentStatus.CAPTURING, reference))
        case PaymentStatus.AUTHORIZING, card.Authorized(reference) if payment.cancelled:
            return void(payment.to(PaymentStatus.VOIDING, reference))
        case PaymentStatus.AUTHORIZING, card.Authorized(reference):
            return authorized(payment.to(PaymentStatus.AUTHORIZED, reference))
        case PaymentStatus.AUTHORIZING, card.Declined() | card.NeverAuthorized() if payment.confirmed:
            return failed(payment, _UNKNOWN_AUTHORIZATION)
        case PaymentStatus.AUTHORIZING, card.Declined(reason):
            return decline(payment, reason)
        case PaymentStatus.AUTHORIZING, card.NeverAuthorized():
            # an order that still waits is ended by its deadline
            return Decision(payment.to(PaymentStatus.DROPPED))

        # The order rests on an authorisation that a restored database does not know. A request under the same
        # key gets the same result; until then the capture is out of turn and is retried.
        case PaymentStatus.AUTHORIZING, orders.OrderConfirmed():
            return Decision(
                replace(payment, confirmed=True),
                payments.Capture(order_id=payment.order_id),
            )

        # a copy of a command whose request staff have had repeated
        case _, payments.Capture() | payments.Void() | payments.Refund() if is_repeated(payment, message):
            return Decision(payment)

        # capture
        case PaymentStatus.AUTHORIZED, orders.OrderConfirmed():
            return Decision(
                payment.to(PaymentStatus.CAPTURING),
                payments.Capture(order_id=payment.order_id),
            )
        case PaymentStatus.CAPTURING, payments.Capture():
            return RunEffect(card.CaptureAmount(key(payment, "capture"), payment.reference, payment.total))
        case PaymentStatus.CAPTURING, card.Captured() | card.UnusableResponse() if detail := mismatch(
            payment, message
        ):
            return reconcile(payment, payments.Effect.CAPTURE, detail)
        case PaymentStatus.CAPTURING, card.Captured(reference):
            return captured(payment.to(PaymentStatus.CAPTURED, reference))
        case PaymentStatus.CAPTURING, card.CaptureRefused() if payment.cancelled:
            return void(payment.to(PaymentStatus.VOIDING))
        case PaymentStatus.CAPTURING, card.CaptureRefused(detail):
            return failed(payment, detail)

        # void or refund
        case PaymentStatus.AUTHORIZING | PaymentStatus.CAPTURING, orders.OrderCancelled():
            return Decision(replace(payment, cancelled=True))  # undone when the provider has responded
        case PaymentStatus.AUTHORIZED | PaymentStatus.FAILED, orders.OrderCancelled():
            return void(payment.to(PaymentStatus.VOIDING))
        case PaymentStatus.CAPTURED, orders.OrderCancelled() if payment.settlements:
            return return_settled(payment)
        case PaymentStatus.CAPTURED, orders.OrderCancelled():
            return refund(payment.to(PaymentStatus.REFUNDING))
        case status, payments.Void() if (
            status is PaymentStatus.VOIDING or payment.hold is Hold.RELEASING or payment.settlements
        ):
            # Settled outside after a failed capture, what is authorised is still held, whatever the status.
            return release(payment)
        case _, card.Voided() | card.UnusableResponse() | card.NeverDone() if released := after_release(
            payment, message
        ):
            return Decision(released)
        case PaymentStatus.VOIDING, card.Voided() | card.UnusableResponse() | card.NeverDone() if (
            detail := mismatch(payment, message)
        ):
            return reconcile(payment, payments.Effect.VOID, detail, unanswered=is_unanswered(message))
        case PaymentStatus.VOIDING, card.Voided():
            return voided(payment)
        case PaymentStatus.REFUNDING, payments.Refund():
            return RunEffect(card.RefundAmount(key(payment, "refund"), payment.reference, payment.total))
        case PaymentStatus.REFUNDING, card.Refunded() | card.UnusableResponse() | card.NeverDone() if (
            detail := mismatch(payment, message)
        ):
            return reconcile(payment, payments.Effect.REFUND, detail, unanswered=is_unanswered(message))
        case PaymentStatus.REFUNDING, card.Refunded():
            return refunded(payment)

        # refunds of a part, after the dispatch
        case _, orders.RefundRequested(refund_id=id_, amount=amount) if partial_refunds.may_be_granted(
            payment, id_
        ):
            return partial_refunds.grant(payment, id_, amount, returned=message.returned)
        case _, payments.RefundPart(refund_id=id_):
            return partial_refunds.send(payment, id_)

        # staff decide; a payment that is still unknown has nothing to decide about
        case status, payments.RetryPayment() | payments.SettlePayment() if status is not PaymentStatus.NEW:
            return notify_customer(payment, resolve(payment, message))

        # the provider's ledger and our payments differ: no money moves until staff have compared them
        case PaymentStatus.NEEDS_RECONCILIATION, orders.OrderCancelled():
            return Decision(replace(payment, cancelled=True))
        case PaymentStatus.NEEDS_RECONCILIATION, _ if not isinstance(
            message, orders.OrderPlaced | inventory.StockReserved
        ):
            return Decision(payment)

        # late messages: the effect ran twice, or the order has ended
        case (
            PaymentStatus.AUTHORIZED
            | PaymentStatus.DECLINED
            | PaymentStatus.CAPTURING
            | PaymentStatus.CAPTURED
            | PaymentStatus.FAILED
            | PaymentStatus.VOIDING
            | PaymentStatus.VOIDED
            | PaymentStatus.REFUNDING
            | PaymentStatus.REFUNDED,
            payments.Authorize()
            | card.Authorized()
            | card.Declined()
            | card.NeverAuthorized()
            | card.UnusableResponse(),
        ):
            return Decision(payment)
        case (
            PaymentStatus.CAPTURED | PaymentStatus.FAILED | PaymentStatus.REFUNDING | PaymentStatus.REFUNDED,
            payments.Capture() | card.Captured() | card.CaptureRefused(),
        ):
            return Decision(payment)
        case PaymentStatus.VOIDING | PaymentStatus.VOIDED, payments.Capture() | card.CaptureRefused():
            return Decision(payment)
        case (
            PaymentStatus.VOIDING | PaymentStatus.VOIDED | PaymentStatus.REFUNDING | PaymentStatus.REFUNDED,
            card.NeverDone(),
        ):
            return Decision(payment)
        case (
            (PaymentStatus.VOIDED, payments.Void() | card.Voided())
            | (
                PaymentStatus.REFUNDED,
                payments.Refund() | card.Refunded(),
            )
            | (
                PaymentStatus.CAPTURED | PaymentStatus.REFUNDED,
                card.Voided() | card.NeverDone(),
            )
        ):
            return Decision(payment)
        case PaymentStatus.DECLINED, orders.OrderCancelled():
            return Decision(payment)
        case PaymentStatus.VOIDING | PaymentStatus.VOIDED, orders.OrderCancelled():
            return Decision(payment)  # ended by the decline that was published before the void
        case PaymentStatus.VOIDING | PaymentStatus.VOIDED, orders.OrderConfirmed():
            return Decision(payment)  # the cancellation overtook the confirmation
        case _:
            raise OutOfTurn(payment, message)


def learn(payment: Payment, placed: orders.OrderPlaced) -> Payment:
    return replace(
        payment,
        order_id=placed.order_id,
        customer_id=placed.customer_id,
        total=placed.total,
        card_token=placed.card_token,
        placed=True,
    )


def authorize_if_complete(payment: Payment) -> Decision[Payment]:
    if not (payment.placed and payment.stock_reserved):
        return Decision(payment)
    if payment.total.is_zero:
        return authorized(payment.to(PaymentStatus.AUTHORIZED))
    return Decision(payment.to(PaymentStatus.AUTHORIZING), payments.Authorize(order_id=payment.order_id))


def authorized(payment: Payment) -> Decision[Payment]:
    return Decision(payment, payments.PaymentAuthorized(order_id=payment.order_id, amount=payment.total))


def decline(payment: Payment, reason: payments.DeclineReason) -> Decision[Payment]:
    declined = payments.PaymentDeclined(order_id=payment.order_id, reason=reason)
    return Decision(payment.to(PaymentStatus.DECLINED), declined)


def decline_and_void(
    payment: Payment, result: card.Authorized | card.UnusableResponse, detail: str
) -> Decision[Payment]:
    """Decline the payment, so that the order does not confirm, and void what is authorised.

    The void uses the authorisation's reference, or, if the response is unusable, our key, because a reference
    in it could belong to another payment.
    """
    declined = payments.PaymentDeclined(
        order_id=payment.order_id, reason=payments.DeclineReason.PROVIDER_MISMATCH, detail=detail
    )
    undone = replace(payment, status=PaymentStatus.VOIDING, detail=detail)
    if isinstance(result, card.Authorized):
        undone = replace(undone, reference=result.reference, authorized=result.amount)
    return Decision(undone, declined, payments.Void(order_id=payment.order_id))


def reconcile(
    payment: Payment, effect: payments.Effect, detail: str, *, unanswered: bool = False
) -> Decision[Payment]:
    mismatched = payments.PaymentMismatched(
        order_id=payment.order_id, effect=effect, detail=detail, attempt=payment.attempt
    )
    unclear = replace(payment, unclear=effect, unanswered=unanswered, detail=detail)
    return Decision(unclear.to(PaymentStatus.NEEDS_RECONCILIATION), mismatched)


def finish_part(
    payment: Payment, refund: PartialRefund, result: partial_refunds.PartResult
) -> Decision[Payment]:
    """A part whose result differs counts as granted; staff settle how the provider's books differ from it.

    It is an attempt of its own, so that an earlier resolution does not hide it.
    """
    if not (detail := partial_refunds.difference(payment, refund, result)):
        return partial_refunds.finish(payment, refund, result)
    done = partial_refunds.with_done(payment, refund, unclear=True)
    granted = replace(done, attempt=payment.attempt + 1)
    decision = reconcile(granted, payments.Effect.REFUND, detail)
    earlier = payment.detail if partial_refunds.unclear_refunds(payment) else ""
    details = "; ".join(filter(None, (earlier, detail)))
    state = replace(decision.state, unclear=payments.Effect.CAPTURE, detail=details)
    return Decision(state, *decision.emits)


def failed(payment: Payment, detail: str) -> Decision[Payment]:
    event = payments.PaymentFailed(order_id=payment.order_id, detail=detail, attempt=payment.attempt)
    return Decision(payment.to(PaymentStatus.FAILED), event)


def captured(payment: Payment) -> Decision[Payment]:
    event = payments.PaymentCaptured(order_id=payment.order_id, amount=payment.total)
    news = (event, *repeated_with_success(payment, payments.Effect.CAPTURE))
    if not payment.cancelled:
        return Decision(payment, *news)
    return Decision(
        payment.to(PaymentStatus.REFUNDING),
        *news,
        payments.Refund(order_id=payment.order_id),
    )


def voided(payment: Payment) -> Decision[Payment]:
    event = payments.PaymentVoided(order_id=payment.order_id)
    resolved = repeated_with_success(payment, payments.Effect.VOID)
    return Decision(payment.to(PaymentStatus.VOIDED), event, *resolved)


def void(payment: Payment) -> Decision[Payment]:
    return Decision(payment, payments.Void(order_id=payment.order_id))


def release(payment: Payment) -> RunEffect:
    authorized_under = key(payment, "authorize")
    return RunEffect(card.VoidAuthorization(key(payment, "void"), payment.reference, authorized_under))


def refund(payment: Payment) -> Decision[Payment]:
    return Decision(payment, payments.Refund(order_id=payment.order_id))


def refunded(payment: Payment) -> Decision[Payment]:
    event = payments.PaymentRefunded(
        order_id=payment.order_id, customer_id=payment.customer_id, amount=payment.total
    )
    resolved = repeated_with_success(payment, payments.Effect.REFUND)
    return Decision(payment.to(PaymentStatus.REFUNDED), event, *resolved)


def return_settled(payment: Payment) -> Decision[Payment]:
    """The card provider does not have what was settled outside: staff return it in the same way."""
    paid = "; ".join(map(str, payment.settlements))
    detail = f"the order is cancelled after its payment was settled outside: {paid}"
    return reconcile(after_settlement(payment), payments.Effect.REFUND, detail)


def notify_customer(payment: Payment, settled: Decision[Payment]) -> Decision[Payment]:
    """The customer of a cancelled order learns the same as from the card provider's answer.

    So does the customer of a refund whose answer differed, and order_svc, which then books the goods. If no
    money moved, the refund is refused: the customer has no mail, and no goods are booked.
    """
    state = settled.state
    if state.status is payment.status:
        return settled
    if state.status is PaymentStatus.CAPTURED:
        unclear = partial_refunds.unclear_refunds(payment)
        if len(state.not_refunded) > len(payment.not_refunded):
            why = f"staff found that no money moved: {state.not_refunded[-1].reference}"
            ended = (partial_refunds.part_refused(state, refund.refund_id, why) for refund in unclear)
            return Decision(state, *settled.emits, *ended)
        parts = (partial_refunds.part_refunded(state, refund) for refund in unclear)
        return Decision(state, *parts, *settled.emits)
    if state.status is PaymentStatus.VOIDED:
        return Decision(state, payments.PaymentVoided(order_id=state.order_id), *settled.emits)
    if state.status is PaymentStatus.REFUNDED:
        is_whole = payment.unclear is payments.Effect.REFUND
        amount = payment.total if is_whole else state.settlements[-1].amount
        returned = payments.PaymentRefunded(
            order_id=state.order_id, customer_id=state.customer_id, amount=amount
        )
        return Decision(state, returned, *settled.emits)
    return settled


def is_unanswered(result: CardResult) -> bool:
    return isinstance(result, card.NeverDone)
