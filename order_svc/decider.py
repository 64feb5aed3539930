"""The saga's arbiter: one `case` a rule. Participants report facts; only here is an order confirmed or ended."""

from collections.abc import Mapping
from dataclasses import replace

from chassis.decision import Decision, OutOfTurn
from contracts import inventory, orders, payments
from contracts.orders import CancelReason, RefuseReason
from order_svc.order import CANCEL_ASKED_MAX, Order, Status
from order_svc.price import Price
from order_svc.quote import Refusal, quote, requested

Heard = (
    orders.PlaceOrder
    | orders.CancelOrder
    | orders.DispatchOrder
    | orders.DeadlinePassed
    | inventory.StockReserved
    | inventory.StockRejected
    | payments.PaymentAuthorized
    | payments.PaymentDeclined
    | payments.PaymentFailed
    | payments.PaymentMismatched
)


def decide(order: Order, message: Heard, price_book: Mapping[str, Price]) -> Decision[Order]:
    match order.status, message:
        # taking an order
        case Status.NEW, orders.PlaceOrder():
            return place(order, message, price_book)
        case _, orders.PlaceOrder() if order.same_as(message):
            return Decision(order, remember=False)  # the client sent it twice, under two message ids
        case _, orders.PlaceOrder(order_id=id_):
            refused = orders.PlacementRefused(order_id=id_, reason=RefuseReason.ALREADY_PLACED)
            return Decision(order, refused, remember=False)

        # the two answers, in any order; both in: the pivot
        case Status.PLACED, inventory.StockReserved():
            return confirm_if_complete(replace(order, stock_reserved=True))
        case Status.PLACED, payments.PaymentAuthorized():
            return confirm_if_complete(replace(order, payment_authorized=True))

        # the ways to end
        case Status.PLACED, inventory.StockRejected():
            return cancel(order, CancelReason.OUT_OF_STOCK)
        case Status.PLACED, payments.PaymentDeclined(detail=detail):
            return cancel(replace(order, detail=detail), CancelReason.PAYMENT_DECLINED)
        case Status.PLACED, orders.DeadlinePassed():
            return cancel(order, CancelReason.DEADLINE)
        case _, orders.CancelOrder(customer_id=who) if who in order.cancel_asked_by:
            return Decision(order, remember=False)  # it was answered by what became of the order
        case Status.NEW, orders.CancelOrder() if len(order.cancel_asked_by) >= CANCEL_ASKED_MAX:
            return Decision(order, remember=False)
        case Status.NEW, orders.CancelOrder(customer_id=who):
            return Decision(replace(order, cancel_asked_by=order.cancel_asked_by | {who}))
        case _, orders.CancelOrder(customer_id=who) if who != order.customer_id:
            return refuse_cancellation(order, message, RefuseReason.NOT_YOURS)
        case _, orders.CancelOrder() if order.dispatched:
            return refuse_cancellation(order, message, RefuseReason.ALREADY_DISPATCHED)
        case Status.PLACED | Status.CONFIRMED | Status.NEEDS_ATTENTION, orders.CancelOrder():
            return cancel(order, CancelReason.CUSTOMER)
        case Status.CANCELLED, orders.CancelOrder():
            return Decision(order, remember=False)
        case Status.REJECTED, orders.CancelOrder():
            return refuse_cancellation(order, message, RefuseReason.ALREADY_ENDED)

        # the warehouse
        case Status.CONFIRMED, orders.DispatchOrder():
            return dispatch(order)
        case _, orders.DispatchOrder() if order.dispatched:
            return Decision(order, remember=False)
        case Status.CANCELLED | Status.REJECTED, orders.DispatchOrder():
            return refuse_dispatch(order, message, RefuseReason.ALREADY_ENDED, remember=False)
        case _, orders.DispatchOrder():
            return refuse_dispatch(order, message, RefuseReason.NOT_CONFIRMED, remember=True)

        # an authorised payment that could not be captured, or money that did not move as asked
        case (
            Status.CONFIRMED | Status.DISPATCHED,
            payments.PaymentFailed(detail=detail) | payments.PaymentMismatched(detail=detail),
        ):
            return needs_attention(order, detail)
        case Status.PLACED, payments.PaymentMismatched():
            return Decision(order)  # of a void: the decline that began it ends the order

        # the news came too late to matter
        case (
            Status.CONFIRMED | Status.DISPATCHED | Status.CANCELLED | Status.NEEDS_ATTENTION,
            inventory.StockReserved()
            | inventory.StockRejected()
            | payments.PaymentAuthorized()
            | payments.PaymentDeclined()
            | payments.PaymentFailed()
            | payments.PaymentMismatched()
            | orders.DeadlinePassed(),
        ):
            return Decision(order)
        case _:
            raise OutOfTurn(order, message)


def place(order: Order, asked: orders.PlaceOrder, price_book: Mapping[str, Price]) -> Decision[Order]:
    known = replace(order, order_id=asked.order_id, customer_id=asked.customer_id)
    priced = quote(asked, price_book)
    if isinstance(priced, Refusal):
        rejected = orders.OrderRejected(
            order_id=asked.order_id,
            customer_id=asked.customer_id,
            reason=priced.reason,
            detail=priced.detail,
            total_seen=asked.total_seen,
            total_now=priced.total_now,
            lines=requested(asked, price_book),
        )
        ended = replace(known, status=Status.REJECTED, reject_reason=priced.reason, detail=priced.detail)
        return Decision(ended, rejected)
    placed = replace(known, status=Status.PLACED, lines=priced.lines, total=priced.total)
    if asked.customer_id in order.cancel_asked_by:
        return cancel(placed, CancelReason.CUSTOMER)
    news = orders.OrderPlaced(
        order_id=asked.order_id,
        customer_id=asked.customer_id,
        lines=priced.lines,
        total=priced.total,
        card_token=asked.card_token,
    )
    return Decision(placed, news)


def confirm_if_complete(order: Order) -> Decision[Order]:
    if not (order.stock_reserved and order.payment_authorized):
        return Decision(order)
    confirmed = orders.OrderConfirmed(order_id=order.order_id, customer_id=order.customer_id, total=order.total)
    return Decision(replace(order, status=Status.CONFIRMED), confirmed)


def cancel(order: Order, reason: CancelReason) -> Decision[Order]:
    cancelled = orders.OrderCancelled(
        order_id=order.order_id,
        customer_id=order.customer_id,
        reason=reason,
        after_confirmation=order.status is not Status.PLACED,
    )
    return Decision(replace(order, status=Status.CANCELLED, cancel_reason=reason), cancelled)


def dispatch(order: Order) -> Decision[Order]:
    dispatched = orders.OrderDispatched(order_id=order.order_id, customer_id=order.customer_id)
    return Decision(replace(order, status=Status.DISPATCHED, dispatched=True), dispatched)


def needs_attention(order: Order, detail: str) -> Decision[Order]:
    alarm = orders.OrderNeedsAttention(order_id=order.order_id, customer_id=order.customer_id, detail=detail)
    return Decision(replace(order, status=Status.NEEDS_ATTENTION, detail=detail), alarm)


def refuse_cancellation(order: Order, asked: orders.CancelOrder, reason: RefuseReason) -> Decision[Order]:
    """The same command is refused again in every later state, with the same reason, so the order does not store it."""
    return Decision(order, orders.CancellationRefused(order_id=asked.order_id, reason=reason), remember=False)


def refuse_dispatch(
    order: Order, asked: orders.DispatchOrder, reason: RefuseReason, *, remember: bool
) -> Decision[Order]:
    return Decision(order, orders.DispatchRefused(order_id=asked.order_id, reason=reason), remember=remember)
