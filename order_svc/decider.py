"""The rules of an order, one `case` each.

Participants report facts; only order_svc confirms or ends an order.

Long because every message has its rule in every status.
"""

from dataclasses import replace
from datetime import datetime, timedelta

from chassis.core.decision import UNKNOWN_TIME, Context, Decision, OutOfTurn
from contracts import inventory, orders, payments
from contracts.http.orders import USUAL_RETURN_DAYS, OrderStatus
from contracts.orders import CancelReason, RefuseReason, StaffRefuseReason
from order_svc import refunds
from order_svc.order import CANCEL_REQUESTS_MAX, Order
from order_svc.price import Price
from order_svc.quote import QuoteRejected, price_order, requested

Handles = (
    orders.PlaceOrder
    | orders.CancelOrder
    | orders.CancelAsStaff
    | orders.DispatchOrder
    | orders.RecordTracking
    | orders.RefundOrder
    | orders.DeadlinePassed
    | inventory.StockReserved
    | inventory.StockRejected
    | payments.PaymentAuthorized
    | payments.PaymentDeclined
    | payments.PaymentFailed
    | payments.PaymentMismatched
    | payments.PaymentResolved
    | payments.PaymentPartRefunded
    | payments.RefundRefused
)
Recalled = (
    orders.OrderPlaced
    | orders.OrderRejected
    | orders.OrderConfirmed
    | orders.OrderCancelled
    | orders.OrderDispatched
    | orders.TrackingRecorded
    | orders.OrderNeedsAttention
    | orders.OrderResolved
    | refunds.Recalled
)
RETURN_WINDOW = timedelta(days=USUAL_RETURN_DAYS)
_UNDER_WAY = frozenset({OrderStatus.PLACED, OrderStatus.CONFIRMED, OrderStatus.NEEDS_ATTENTION})


def decide(
    order: Order, message: Handles, context: Context[Price], *, return_window: timedelta = RETURN_WINDOW
) -> Decision[Order]:
    match order.status, message:
        # placing an order
        case OrderStatus.NEW, orders.PlaceOrder():
            return place(order, message, context)
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
            return dispatch(order, context)
        case _, orders.DispatchOrder() if order.dispatched:
            return Decision(order, remember=False)
        case OrderStatus.CANCELLED | OrderStatus.REJECTED, orders.DispatchOrder():
            return refuse_dispatch(order, message, RefuseReason.ALREADY_ENDED, remember=False)
        case _, orders.DispatchOrder():
            return refuse_dispatch(order, message, RefuseReason.NOT_CONFIRMED, remember=True)

        case _, orders.RecordTracking(tracking=tracking) if tracking == order.tracking:
            return Decision(with_tracking(order, tracking, context))
        case _, orders.RecordTracking() if is_outdated(order, context):  # e.g. it was redriven
            return refuse_outdated_tracking(order, context)
        case OrderStatus.CONFIRMED, orders.RecordTracking(tracking=tracking):
            return Decision(with_tracking(order, tracking, context))  # it overtook DispatchOrder
        case _, orders.RecordTracking(tracking=tracking) if order.dispatched:
            known = with_tracking(order, tracking, context)
            return Decision(known, tracking_recorded(order, tracking))
        case _, orders.RecordTracking(order_id=id_):
            detail = f"the order is {order.status}; it must be confirmed or dispatched"
            return Decision(order, orders.TrackingRefused(order_id=id_, detail=detail))

        # a refund of a part; before the dispatch, a cancellation refunds all of it
        case _, orders.RefundOrder():
            return refunds.request(order, message, sent_at=context.sent_at, return_window=return_window)
        case _, payments.PaymentPartRefunded(refund_id=id_) if refund := refunds.find(order, id_):
            return refunds.finish(order, refund)
        case _, payments.RefundRefused(refund_id=id_, settled_outside=True) if (
            refund := refunds.find(order, id_)
        ) and refund.returned:
            return refunds.return_goods(order, refund)
        case _, payments.RefundRefused(refund_id=id_) if refund := refunds.find(order, id_):
            return refunds.refuse(order, refund)

        # staff end an order whose payment failed
        case OrderStatus.NEEDS_ATTENTION, orders.CancelAsStaff() if not order.dispatched:
            return cancel(order, CancelReason.PAYMENT_DECLINED)
        case OrderStatus.CANCELLED, orders.CancelAsStaff():
            return Decision(order, remember=False)
        case OrderStatus.NEEDS_ATTENTION, orders.CancelAsStaff():
            return refuse_staff(order, message, StaffRefuseReason.ALREADY_DISPATCHED)
        case _, orders.CancelAsStaff():
            return refuse_staff(order, message, StaffRefuseReason.NEEDS_NO_ATTENTION)

        # staff have resolved it; a failure of the same attempt may arrive later
        case (
            OrderStatus.CONFIRMED | OrderStatus.DISPATCHED | OrderStatus.NEEDS_ATTENTION,
            payments.PaymentResolved(attempt=attempt),
        ) if attempt > order.resolved:
            return resolve(order, attempt)
        case _, payments.PaymentFailed(attempt=attempt) | payments.PaymentMismatched(attempt=attempt) if (
            attempt <= order.resolved
        ):
            return Decision(order)

        # a capture that failed, or a result of the card provider that differs from the request
        case (
            OrderStatus.CONFIRMED | OrderStatus.DISPATCHED,
            payments.PaymentFailed(detail=detail, attempt=attempt)
            | payments.PaymentMismatched(detail=detail, attempt=attempt),
        ):
            return needs_attention(order, detail, attempt)
        case OrderStatus.PLACED, payments.PaymentMismatched() | payments.PaymentResolved():
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
            | payments.PaymentResolved()
            | orders.DeadlinePassed(),
        ):
            return Decision(order)
        case _:
            raise OutOfTurn(order, message)


def place(order: Order, command: orders.PlaceOrder, context: Context[Price]) -> Decision[Order]:
    price_book = context.related
    placed_at = None if context.sent_at == UNKNOWN_TIME else context.sent_at
    known = replace(order, order_id=command.order_id, customer_id=command.customer_id, placed_at=placed_at)
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


def dispatch(order: Order, context: Context[Price]) -> Decision[Order]:
    dispatched = orders.OrderDispatched(order_id=order.order_id, customer_id=order.customer_id)
    # the tracking reference first: notification_svc writes it into the mail about the dispatch
    news = (tracking_recorded(order, order.tracking), dispatched) if order.tracking else (dispatched,)
    return Decision(with_dispatch(order, context), *news)


def with_dispatch(order: Order, context: Context[object]) -> Order:
    return replace(
        order,
        status=OrderStatus.DISPATCHED,
        dispatched=True,
        dispatched_at=dispatch_time(order, context.sent_at),
    )


def dispatch_time(order: Order, sent_at: datetime) -> datetime | None:
    """No order is dispatched before it is placed: the clock that says so is behind."""
    return None if sent_at == UNKNOWN_TIME else max(sent_at, order.placed_at or sent_at)


def is_outdated(order: Order, context: Context[Price]) -> bool:
    """Whether the command was sent before the one whose tracking reference the order has.

    A command without a time that can be read counts in the order of arrival.
    """
    return order.tracking_at is not None and UNKNOWN_TIME < context.sent_at < order.tracking_at


def refuse_outdated_tracking(order: Order, context: Context[Price]) -> Decision[Order]:
    assert order.tracking_at is not None
    detail = (
        f"it was sent at {context.sent_at.isoformat()}, and the order has one that was sent at "
        f"{order.tracking_at.isoformat()}; to replace that one, send it again after this time"
    )
    return Decision(order, orders.TrackingRefused(order_id=order.order_id, detail=detail))


def with_tracking(order: Order, tracking: str, context: Context[Price]) -> Order:
    """A time that cannot be read says nothing: the one that is known stays the lower limit."""
    sent = [at for at in (order.tracking_at, context.sent_at) if at is not None and at != UNKNOWN_TIME]
    return replace(order, tracking=tracking, tracking_at=max(sent, default=None))


def tracking_recorded(order: Order, tracking: str) -> orders.TrackingRecorded:
    return orders.TrackingRecorded(order_id=order.order_id, customer_id=order.customer_id, tracking=tracking)


def needs_attention(order: Order, detail: str, attempt: int) -> Decision[Order]:
    alarm = orders.OrderNeedsAttention(
        order_id=order.order_id, customer_id=order.customer_id, detail=detail, attempt=attempt
    )
    return Decision(replace(order, status=OrderStatus.NEEDS_ATTENTION, detail=detail), alarm)


def resolve(order: Order, attempt: int) -> Decision[Order]:
    """The order goes on: a parcel that has left is still on its way."""
    status = OrderStatus.DISPATCHED if order.dispatched else OrderStatus.CONFIRMED
    resolved = orders.OrderResolved(order_id=order.order_id, customer_id=order.customer_id, attempt=attempt)
    return Decision(replace(order, status=status, detail="", resolved=attempt), resolved)


def refuse_staff(order: Order, command: orders.CancelAsStaff, reason: StaffRefuseReason) -> Decision[Order]:
    refused = orders.StaffCancellationRefused(
        order_id=command.order_id, staff_id=command.staff_id, reason=reason
    )
    return Decision(order, refused)


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


def recall(order: Order, event: Recalled, context: Context[object]) -> Decision[Order]:
    """What is known again about an order from order_svc's own events, after its database was set back."""
    if isinstance(event, refunds.Recalled):
        return refunds.recall(order, event)
    match order.status, event:
        case OrderStatus.NEW, orders.OrderPlaced(lines=lines, total=total):
            placed = recalled_ids(order, event, context)
            return Decision(replace(placed, status=OrderStatus.PLACED, lines=lines, total=total))
        case OrderStatus.NEW, orders.OrderRejected(reason=reason, detail=detail):
            ended = replace(recalled_ids(order, event, context), reject_reason=reason, detail=detail)
            return Decision(replace(ended, status=OrderStatus.REJECTED))
        case OrderStatus.NEW, orders.OrderCancelled(reason=reason):  # the cancellation overtook the order
            ended = replace(recalled_ids(order, event, context), cancel_reason=reason)
            return Decision(replace(ended, status=OrderStatus.CANCELLED))
        case OrderStatus.PLACED, orders.OrderConfirmed():
            complete = replace(order, stock_reserved=True, payment_authorized=True)
            return Decision(replace(complete, status=OrderStatus.CONFIRMED))
        case status, orders.OrderCancelled(reason=reason) if status in _UNDER_WAY:
            return Decision(replace(order, status=OrderStatus.CANCELLED, cancel_reason=reason))
        case OrderStatus.CONFIRMED, orders.TrackingRecorded(tracking=tracking):  # emitted before the dispatch
            return Decision(replace(order, tracking=tracking))
        case OrderStatus.CONFIRMED, orders.OrderDispatched():
            return Decision(with_dispatch(order, context))
        case _, orders.TrackingRecorded(tracking=tracking) if order.dispatched:
            return Decision(replace(order, tracking=tracking))
        case OrderStatus.CONFIRMED | OrderStatus.DISPATCHED, orders.OrderNeedsAttention(detail=detail):
            return Decision(replace(order, status=OrderStatus.NEEDS_ATTENTION, detail=detail))
        case (
            OrderStatus.CONFIRMED | OrderStatus.DISPATCHED | OrderStatus.NEEDS_ATTENTION,
            orders.OrderResolved(attempt=attempt),
        ):
            return Decision(resolve(order, attempt).state)
        case _:
            raise OutOfTurn(order, event)


def recalled_ids(
    order: Order,
    event: orders.OrderPlaced | orders.OrderRejected | orders.OrderCancelled,
    context: Context[object],
) -> Order:
    """The order with its ids. The time of the command is lost; the event followed it at once."""
    placed_at = None if context.sent_at == UNKNOWN_TIME else context.sent_at
    return replace(order, order_id=event.order_id, customer_id=event.customer_id, placed_at=placed_at)
