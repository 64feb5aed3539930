"""The rules of an order, one `case` each.

Participants report facts; only order_svc confirms or ends an order.
"""

from collections.abc import Mapping
from dataclasses import replace

from chassis.core.decision import Context, Decision, OutOfTurn
from contracts import inventory, orders, payments
from contracts.http.orders import OrderStatus
from contracts.orders import CancelReason, RefuseReason
from order_svc.order import CANCEL_REQUESTS_MAX, Order
from order_svc.price import Price
from order_svc.quote import QuoteRejected, price_order, requested

Handles = (
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


def decide(order: Order, message: Handles, context: Context[Price]) -> Decision[Order]:
    match order.status, message:
        # placing an order
        case OrderStatus.NEW, orders.PlaceOrder():
            return place(order, message, context.related)
        case _, orders.PlaceOrder() if order.same_as(message):
            return Decision(order, remember=False)  # the client sent it twice with two message ids
        case _, orders.PlaceOrder(order_id=id_):
            refused = orders.PlacementRefused(order_id=id_, reason=RefuseReason.ALREADY_PLACED)
            return Decision(order, refused, remember=False)

        # the two results, in any order; the pivot is reached when both are in
        case OrderStatus.PLACED, inventory.StockReserved():
            return confirm_if_complete(replace(order, stock_reserved=True))
        case OrderStatus.PLACED, payments.PaymentAuthorized():
            return confirm_if_complete(replace(order, payment_authorized=True))

        # rejections and cancellations
        case OrderStatus.PLACED, inventory.StockRejected():
            return cancel(order, CancelReason.OUT_OF_STOCK)
        case OrderStatus.PLACED, payments.PaymentDeclined(detail=detail):
            return cancel(replace(order, detail=detail), CancelReason.PAYMENT_DECLINED)
        case OrderStatus.PLACED, orders.DeadlinePassed():
            return cancel(order, CancelReason.DEADLINE)
        case _, orders.CancelOrder(customer_id=who) if who in order.cancel_asked_by:
            return Decision(order, remember=False)  # answered by the order's outcome
        case OrderStatus.NEW, orders.CancelOrder() if len(order.cancel_asked_by) >= CANCEL_REQUESTS_MAX:
            return Decision(order, remember=False)
        case OrderStatus.NEW, orders.CancelOrder(customer_id=who):
            return Decision(replace(order, cancel_asked_by=order.cancel_asked_by | {who}))
        case _, orders.CancelOrder(customer_id=who) if who != order.customer_id:
            return refuse_cancellation(order, message, RefuseReason.NOT_YOURS)
        case _, orders.CancelOrder() if order.dispatched:
            return refuse_cancellation(order, message, RefuseReason.ALREADY_DISPATCHED)
        case OrderStatus.PLACED | OrderStatus.CONFIRMED | OrderStatus.NEEDS_ATTENTION, orders.CancelOrder():
            return cancel(order, CancelReason.CUSTOMER)
        case OrderStatus.CANCELLED, orders.CancelOrder():
            return Decision(order, remember=False)
        case OrderStatus.REJECTED, orders.CancelOrder():
            return refuse_cancellation(order, message, RefuseReason.ALREADY_ENDED)

        # the warehouse
        case OrderStatus.CONFIRMED, orders.DispatchOrder():
            return dispatch(order)
        case _, orders.DispatchOrder() if order.dispatched:
            return Decision(order, remember=False)
        case OrderStatus.CANCELLED | OrderStatus.REJECTED, orders.DispatchOrder():
            return refuse_dispatch(order, message, RefuseReason.ALREADY_ENDED, remember=False)
        case _, orders.DispatchOrder():
            return refuse_dispatch(order, message, RefuseReason.NOT_CONFIRMED, remember=True)

        # a capture that failed, or a result of the card provider that differs from the request
        case (
            OrderStatus.CONFIRMED | OrderStatus.DISPATCHED,
            payments.PaymentFailed(detail=detail) | payments.PaymentMismatched(detail=detail),
        ):
            return needs_attention(order, detail)
        case OrderStatus.PLACED, payments.PaymentMismatched():
            return Decision(order)  # about a void: the decline before it ends the order

        # late messages that change nothing
        case (
            OrderStatus.CONFIRMED
            | OrderStatus.DISPATCHED
            | OrderStatus.CANCELLED
            | OrderStatus.NEEDS_ATTENTION,
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


def place(order: Order, command: orders.PlaceOrder, price_book: Mapping[str, Price]) -> Decision[Order]:
    known = replace(order, order_id=command.order_id, customer_id=command.customer_id)
    priced = price_order(command, price_book)
    if isinstance(priced, QuoteRejected):
        rejected = orders.OrderRejected(
            order_id=command.order_id,
            customer_id=command.customer_id,
            reason=priced.reason,
            detail=priced.detail,
            total_seen=command.total_seen,
            total_now=priced.total_now,
            lines=requested(command, price_book),
        )
        ended = replace(known, status=OrderStatus.REJECTED, reject_reason=priced.reason, detail=priced.detail)
        return Decision(ended, rejected)
    placed = replace(known, status=OrderStatus.PLACED, lines=priced.lines, total=priced.total)
    if command.customer_id in order.cancel_asked_by:
        return cancel(placed, CancelReason.CUSTOMER)
    news = orders.OrderPlaced(
        order_id=command.order_id,
        customer_id=command.customer_id,
        lines=priced.lines,
        total=priced.total,
        card_token=command.card_token,
    )
    return Decision(placed, news)


def confirm_if_complete(order: Order) -> Decision[Order]:
    if not (order.stock_reserved and order.payment_authorized):
        return Decision(order)
    confirmed = orders.OrderConfirmed(
        order_id=order.order_id, customer_id=order.customer_id, total=order.total
    )
    return Decision(replace(order, status=OrderStatus.CONFIRMED), confirmed)


def cancel(order: Order, reason: CancelReason) -> Decision[Order]:
    cancelled = orders.OrderCancelled(
        order_id=order.order_id,
        customer_id=order.customer_id,
        reason=reason,
        after_confirmation=order.status is not OrderStatus.PLACED,
    )
    return Decision(replace(order, status=OrderStatus.CANCELLED, cancel_reason=reason), cancelled)


def dispatch(order: Order) -> Decision[Order]:
    dispatched = orders.OrderDispatched(order_id=order.order_id, customer_id=order.customer_id)
    return Decision(replace(order, status=OrderStatus.DISPATCHED, dispatched=True), dispatched)


def needs_attention(order: Order, detail: str) -> Decision[Order]:
    alarm = orders.OrderNeedsAttention(order_id=order.order_id, customer_id=order.customer_id, detail=detail)
    return Decision(replace(order, status=OrderStatus.NEEDS_ATTENTION, detail=detail), alarm)


def refuse_cancellation(order: Order, command: orders.CancelOrder, reason: RefuseReason) -> Decision[Order]:
    """A repeated command is refused in every later state with the same reason,
    so the order does not store it.
    """
    return Decision(
        order, orders.CancellationRefused(order_id=command.order_id, reason=reason), remember=False
    )


def refuse_dispatch(
    order: Order, command: orders.DispatchOrder, reason: RefuseReason, *, remember: bool
) -> Decision[Order]:
    return Decision(
        order, orders.DispatchRefused(order_id=command.order_id, reason=reason), remember=remember
    )
