"""Money: authorised when goods are held, captured when the order is confirmed, given back when it is cancelled.

The provider is asked by commands to ourselves; its answer comes back into the same `match`.
"""

from dataclasses import replace

from chassis.decision import Ask, Decision, OutOfTurn
from contracts import inventory, orders, payments
from payment_svc import payment as card
from payment_svc.matching import key, mismatch
from payment_svc.payment import Answer, Payment, Status

Heard = (
    orders.OrderPlaced
    | inventory.StockReserved
    | orders.OrderConfirmed
    | orders.OrderCancelled
    | payments.Authorize
    | payments.Capture
    | payments.Void
    | payments.Refund
)


def decide(payment: Payment, message: Heard | Answer) -> Decision[Payment] | Ask:
    match payment.status, message:
        # the join: an order and its goods, in any order
        case Status.NEW, orders.OrderPlaced():
            return authorize_if_complete(learn(payment, message))
        case Status.NEW, inventory.StockReserved(order_id=order_id):
            return authorize_if_complete(replace(payment, order_id=order_id, stock_reserved=True))
        case Status.NEW, orders.OrderCancelled(after_confirmation=False, order_id=order_id):
            return Decision(replace(payment, status=Status.DROPPED, order_id=order_id))
        case Status.DROPPED, orders.OrderPlaced() | inventory.StockReserved() | orders.OrderCancelled():
            return Decision(payment)

        # set aside
        case Status.AUTHORIZING, payments.Authorize():
            # Also when the order has been cancelled: an earlier question may still be on its way, where a look-up
            # would not find it. Under the same key this one meets it, and what comes of both is voided.
            return Ask(
                card.AuthorizeCard(key(payment, "authorize"), payment.order_id, payment.total, payment.card_token)
            )
        case Status.AUTHORIZING, card.Authorized() | card.Unusable() if detail := mismatch(payment, message):
            return decline_and_void(payment, message, detail)
        case Status.AUTHORIZING, card.Authorized(reference) if payment.cancelled:
            return void(payment.to(Status.VOIDING, reference))
        case Status.AUTHORIZING, card.Authorized(reference):
            said = payments.PaymentAuthorized(order_id=payment.order_id, amount=payment.total)
            return Decision(payment.to(Status.AUTHORIZED, reference), said)
        case Status.AUTHORIZING, card.Declined(reason):
            declined = payments.PaymentDeclined(order_id=payment.order_id, reason=reason)
            return Decision(payment.to(Status.DECLINED), declined)
        case Status.AUTHORIZING, card.NeverAuthorized():
            return Decision(payment.to(Status.DROPPED))  # an order that still waits is ended by its deadline

        # take
        case Status.AUTHORIZED, orders.OrderConfirmed():
            return Decision(payment.to(Status.CAPTURING), payments.Capture(order_id=payment.order_id))
        case Status.CAPTURING, payments.Capture():
            return Ask(card.CaptureAmount(key(payment, "capture"), payment.reference, payment.total))
        case Status.CAPTURING, card.Captured() | card.Unusable() if detail := mismatch(payment, message):
            return reconcile(payment, payments.Effect.CAPTURE, detail)
        case Status.CAPTURING, card.Captured(reference):
            return captured(payment.to(Status.CAPTURED, reference))
        case Status.CAPTURING, card.CaptureRefused() if payment.cancelled:
            return void(payment.to(Status.VOIDING))
        case Status.CAPTURING, card.CaptureRefused(detail):
            failed = payments.PaymentFailed(order_id=payment.order_id, detail=detail)
            return Decision(payment.to(Status.FAILED), failed)

        # give back
        case Status.AUTHORIZING | Status.CAPTURING, orders.OrderCancelled():
            return Decision(replace(payment, cancelled=True))  # undone when the provider has answered
        case Status.AUTHORIZED | Status.FAILED, orders.OrderCancelled():
            return void(payment.to(Status.VOIDING))
        case Status.CAPTURED, orders.OrderCancelled():
            return refund(payment.to(Status.REFUNDING))
        case Status.VOIDING, payments.Void():
            return Ask(card.VoidAuthorization(key(payment, "void"), payment.reference, key(payment, "authorize")))
        case Status.VOIDING, card.Voided() | card.Unusable() if detail := mismatch(payment, message):
            return reconcile(payment, payments.Effect.VOID, detail)
        case Status.VOIDING, card.Voided():
            return Decision(payment.to(Status.VOIDED), payments.PaymentVoided(order_id=payment.order_id))
        case Status.REFUNDING, payments.Refund():
            return Ask(card.RefundAmount(key(payment, "refund"), payment.reference, payment.total))
        case Status.REFUNDING, card.Refunded() | card.Unusable() if detail := mismatch(payment, message):
            return reconcile(payment, payments.Effect.REFUND, detail)
        case Status.REFUNDING, card.Refunded():
            refunded = payments.PaymentRefunded(
                order_id=payment.order_id, customer_id=payment.customer_id, amount=payment.total
            )
            return Decision(payment.to(Status.REFUNDED), refunded)

        # the books of the provider and ours differ: nothing more is moved until a person has looked
        case Status.NEEDS_RECONCILIATION, orders.OrderCancelled():
            return Decision(replace(payment, cancelled=True))
        case Status.NEEDS_RECONCILIATION, _ if not isinstance(message, orders.OrderPlaced | inventory.StockReserved):
            return Decision(payment)

        # old news: the effect was asked twice, or the order has ended meanwhile
        case (
            Status.AUTHORIZED
            | Status.DECLINED
            | Status.CAPTURING
            | Status.CAPTURED
            | Status.FAILED
            | Status.VOIDING
            | Status.VOIDED
            | Status.REFUNDING
            | Status.REFUNDED,
            payments.Authorize() | card.Authorized() | card.Declined() | card.NeverAuthorized() | card.Unusable(),
        ):
            return Decision(payment)
        case (
            Status.CAPTURED | Status.FAILED | Status.REFUNDING | Status.REFUNDED,
            payments.Capture() | card.Captured() | card.CaptureRefused(),
        ):
            return Decision(payment)
        case Status.VOIDING | Status.VOIDED, payments.Capture() | card.CaptureRefused():
            return Decision(payment)
        case (Status.VOIDED, payments.Void() | card.Voided()) | (Status.REFUNDED, payments.Refund() | card.Refunded()):
            return Decision(payment)
        case Status.DECLINED, orders.OrderCancelled():
            return Decision(payment)
        case Status.VOIDING | Status.VOIDED, orders.OrderCancelled():
            return Decision(payment)  # ended by the decline that we said before the void
        case Status.VOIDING | Status.VOIDED, orders.OrderConfirmed():
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
    return Decision(payment.to(Status.AUTHORIZING), payments.Authorize(order_id=payment.order_id))


def decline_and_void(payment: Payment, answer: card.Authorized | card.Unusable, detail: str) -> Decision[Payment]:
    """The order does not confirm. What is set aside is voided: under the reference that belongs to it, or, if the
    answer is unusable, under our key, because a reference in it could belong to another payment."""
    declined = payments.PaymentDeclined(
        order_id=payment.order_id, reason=payments.DeclineReason.PROVIDER_MISMATCH, detail=detail
    )
    undone = replace(payment, status=Status.VOIDING, detail=detail)
    if isinstance(answer, card.Authorized):
        undone = replace(undone, reference=answer.reference, authorized=answer.amount)
    return Decision(undone, declined, payments.Void(order_id=payment.order_id))


def reconcile(payment: Payment, effect: payments.Effect, detail: str) -> Decision[Payment]:
    told = payments.PaymentMismatched(order_id=payment.order_id, effect=effect, detail=detail)
    return Decision(replace(payment, status=Status.NEEDS_RECONCILIATION, detail=detail), told)


def captured(payment: Payment) -> Decision[Payment]:
    said = payments.PaymentCaptured(order_id=payment.order_id, amount=payment.total)
    if not payment.cancelled:
        return Decision(payment, said)
    return Decision(payment.to(Status.REFUNDING), said, payments.Refund(order_id=payment.order_id))


def void(payment: Payment) -> Decision[Payment]:
    return Decision(payment, payments.Void(order_id=payment.order_id))


def refund(payment: Payment) -> Decision[Payment]:
    return Decision(payment, payments.Refund(order_id=payment.order_id))
