"""The rules of money: authorised when goods are held, captured on confirmation,
voided or refunded on cancellation.

The service sends itself commands to call the card provider; the results are handled by the same `match`.
"""

from dataclasses import replace

from chassis.core.decision import Context, Decision, OutOfTurn, RunEffect
from contracts import inventory, orders, payments
from payment_svc import payment as card
from payment_svc.matching import key, mismatch
from payment_svc.payment import CardResult, Payment, PaymentStatus

Handles = (
    orders.OrderPlaced
    | inventory.StockReserved
    | orders.OrderConfirmed
    | orders.OrderCancelled
    | payments.Authorize
    | payments.Capture
    | payments.Void
    | payments.Refund
)


def decide(
    payment: Payment, message: Handles | CardResult, _: Context[object]
) -> Decision[Payment] | RunEffect:
    match payment.status, message:
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
        case PaymentStatus.AUTHORIZING, card.Authorized(reference) if payment.cancelled:
            return void(payment.to(PaymentStatus.VOIDING, reference))
        case PaymentStatus.AUTHORIZING, card.Authorized(reference):
            event = payments.PaymentAuthorized(order_id=payment.order_id, amount=payment.total)
            return Decision(payment.to(PaymentStatus.AUTHORIZED, reference), event)
        case PaymentStatus.AUTHORIZING, card.Declined(reason):
            declined = payments.PaymentDeclined(order_id=payment.order_id, reason=reason)
            return Decision(payment.to(PaymentStatus.DECLINED), declined)
        case PaymentStatus.AUTHORIZING, card.NeverAuthorized():
            # an order that still waits is ended by its deadline
            return Decision(payment.to(PaymentStatus.DROPPED))

        # capture
        case PaymentStatus.AUTHORIZED, orders.OrderConfirmed():
            return Decision(payment.to(PaymentStatus.CAPTURING), payments.Capture(order_id=payment.order_id))
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
            failed = payments.PaymentFailed(order_id=payment.order_id, detail=detail)
            return Decision(payment.to(PaymentStatus.FAILED), failed)

        # void or refund
        case PaymentStatus.AUTHORIZING | PaymentStatus.CAPTURING, orders.OrderCancelled():
            return Decision(replace(payment, cancelled=True))  # undone when the provider has responded
        case PaymentStatus.AUTHORIZED | PaymentStatus.FAILED, orders.OrderCancelled():
            return void(payment.to(PaymentStatus.VOIDING))
        case PaymentStatus.CAPTURED, orders.OrderCancelled():
            return refund(payment.to(PaymentStatus.REFUNDING))
        case PaymentStatus.VOIDING, payments.Void():
            return RunEffect(
                card.VoidAuthorization(key(payment, "void"), payment.reference, key(payment, "authorize"))
            )
        case PaymentStatus.VOIDING, card.Voided() | card.UnusableResponse() if detail := mismatch(
            payment, message
        ):
            return reconcile(payment, payments.Effect.VOID, detail)
        case PaymentStatus.VOIDING, card.Voided():
            return Decision(
                payment.to(PaymentStatus.VOIDED), payments.PaymentVoided(order_id=payment.order_id)
            )
        case PaymentStatus.REFUNDING, payments.Refund():
            return RunEffect(card.RefundAmount(key(payment, "refund"), payment.reference, payment.total))
        case PaymentStatus.REFUNDING, card.Refunded() | card.UnusableResponse() if detail := mismatch(
            payment, message
        ):
            return reconcile(payment, payments.Effect.REFUND, detail)
        case PaymentStatus.REFUNDING, card.Refunded():
            refunded = payments.PaymentRefunded(
                order_id=payment.order_id, customer_id=payment.customer_id, amount=payment.total
            )
            return Decision(payment.to(PaymentStatus.REFUNDED), refunded)

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
        case (PaymentStatus.VOIDED, payments.Void() | card.Voided()) | (
            PaymentStatus.REFUNDED,
            payments.Refund() | card.Refunded(),
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
    return Decision(payment.to(PaymentStatus.AUTHORIZING), payments.Authorize(order_id=payment.order_id))


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


def reconcile(payment: Payment, effect: payments.Effect, detail: str) -> Decision[Payment]:
    mismatched = payments.PaymentMismatched(order_id=payment.order_id, effect=effect, detail=detail)
    return Decision(replace(payment, status=PaymentStatus.NEEDS_RECONCILIATION, detail=detail), mismatched)


def captured(payment: Payment) -> Decision[Payment]:
    event = payments.PaymentCaptured(order_id=payment.order_id, amount=payment.total)
    if not payment.cancelled:
        return Decision(payment, event)
    return Decision(payment.to(PaymentStatus.REFUNDING), event, payments.Refund(order_id=payment.order_id))


def void(payment: Payment) -> Decision[Payment]:
    return Decision(payment, payments.Void(order_id=payment.order_id))


def refund(payment: Payment) -> Decision[Payment]:
    return Decision(payment, payments.Refund(order_id=payment.order_id))
