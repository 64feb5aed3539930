"""Refunds of a part of a dispatched order, by an amount or by the goods that come back. Pure functions.

payment_svc decides about the money, and says if it was settled outside. A refund in progress holds its
pieces, so that none is refunded twice.
"""

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from uuid import UUID

from chassis.core.decision import Decision, OutOfTurn
from contracts import orders
from contracts.http.orders import BOOKED, RefundStatus
from contracts.orders import RefundRefuseReason
from contracts.values import PricedLine, quantities
from order_svc.order import Order, OrderRefund

Recalled = orders.RefundRequested | orders.GoodsReturned
REFUNDS_MAX = 50  # as many as a payment may have; refused ones make room


def find(order: Order, refund_id: UUID) -> OrderRefund | None:
    return next((refund for refund in order.refunds if refund.refund_id == refund_id), None)


def is_repeated(order: Order, command: orders.RefundOrder) -> bool:
    """Whether it is the same refund under another message id."""
    return find(order, command.refund_id) is not None


def request(
    order: Order, command: orders.RefundOrder, *, sent_at: datetime, return_window: timedelta
) -> Decision[Order]:
    if is_repeated(order, command):
        return Decision(order)
    why = next(_why_not(order, command, sent_at=sent_at, return_window=return_window), None)
    if why is not None:
        return _not_possible(order, command, *why)
    titles = {line.sku: line.title for line in order.lines}
    returned = tuple(line.model_copy(update={"title": titles[line.sku]}) for line in command.returned)
    requested = orders.RefundRequested(
        order_id=command.order_id,
        refund_id=command.refund_id,
        staff_id=command.staff_id,
        amount=command.amount,
        returned=returned,
    )
    return Decision(with_requested(order, requested), requested)


def with_requested(order: Order, requested: orders.RefundRequested) -> Order:
    if find(order, requested.refund_id):
        return order
    refund = OrderRefund(requested.refund_id, requested.amount, requested.returned)
    kept = order.refunds
    if len(kept) >= REFUNDS_MAX and (oldest := next(_refused(order), None)):
        kept = tuple(each for each in kept if each is not oldest)
    return replace(order, refunds=(*kept, refund))


def finish(order: Order, refund: OrderRefund) -> Decision[Order]:
    """The amount is refunded: now the goods count as returned."""
    if refund.status is RefundStatus.DONE:
        return Decision(order)
    done = with_status(order, refund, RefundStatus.DONE)
    if not refund.returned or refund.status in BOOKED:
        return Decision(done)
    returned = orders.GoodsReturned(
        order_id=order.order_id, refund_id=refund.refund_id, returned=refund.returned
    )
    return Decision(done, returned)


def return_goods(order: Order, refund: OrderRefund) -> Decision[Order]:
    """The payment was settled outside: staff give the money back there, and the goods come back here."""
    if refund.status is not RefundStatus.REQUESTED:
        return Decision(order)
    returned = orders.GoodsReturned(
        order_id=order.order_id, refund_id=refund.refund_id, returned=refund.returned, settled_outside=True
    )
    return Decision(with_status(order, refund, RefundStatus.GOODS_ONLY), returned)


def refuse(order: Order, refund: OrderRefund) -> Decision[Order]:
    """payment_svc has refused it: its pieces may be refunded by another one."""
    if refund.status is not RefundStatus.REQUESTED:
        return Decision(order)
    return Decision(with_status(order, refund, RefundStatus.REFUSED))


def with_status(order: Order, refund: OrderRefund, status: RefundStatus) -> Order:
    changed = replace(refund, status=status)
    return replace(order, refunds=tuple(changed if each is refund else each for each in order.refunds))


def pieces_refunded(order: Order) -> dict[str, int]:
    """The pieces of each article that a refund is for, whether or not it is done."""
    counting = (refund for refund in order.refunds if refund.status is not RefundStatus.REFUSED)
    return quantities(line for refund in counting for line in refund.returned)


def _refused(order: Order) -> Iterator[OrderRefund]:
    return (refund for refund in order.refunds if refund.status is RefundStatus.REFUSED)


def _why_not(
    order: Order, command: orders.RefundOrder, *, sent_at: datetime, return_window: timedelta
) -> Iterator[tuple[RefundRefuseReason, str]]:
    """Every reason to refuse it, with what staff have to change."""
    until = order.returnable_until(return_window)
    # It counts when staff sent the command, not when it is handled. One without a time is never late.
    if command.returned and until is not None and sent_at > until:
        yield (
            RefundRefuseReason.RETURN_WINDOW_ENDED,
            f"pieces could come back until {until:%Y-%m-%d %H:%M} UTC; give the amount back without them, "
            "and correct the stock",
        )
    if not order.dispatched:
        yield RefundRefuseReason.NOT_DISPATCHED, ""
    if len(order.refunds) >= REFUNDS_MAX and not any(_refused(order)):
        yield RefundRefuseReason.TOO_MANY_REFUNDS, f"an order has at most {REFUNDS_MAX} refunds"
    dispatched, before = quantities(order.lines), pieces_refunded(order)
    for sku, count in quantities(command.returned).items():
        left = dispatched.get(sku, 0) - before.get(sku, 0)
        if sku not in dispatched:
            yield RefundRefuseReason.NOT_IN_ORDER, f"{sku} is not in the order"
        elif count > left:
            detail = f"{sku}: {count} to refund, but {left} of {dispatched[sku]} are left"
            yield RefundRefuseReason.ALREADY_RETURNED, detail
    if command.returned:
        price = order.total.model_copy(update={"amount_minor": _price_minor(order.lines, command)})
        if command.amount.amount_minor > price.amount_minor:
            detail = f"{command.amount} is more than the price of the returned items, {price}"
            yield RefundRefuseReason.AMOUNT_TOO_HIGH, detail


def _price_minor(lines: tuple[PricedLine, ...], command: orders.RefundOrder) -> int:
    prices = {line.sku: line.price.amount_minor for line in lines}
    return sum(prices.get(line.sku, 0) * line.quantity for line in command.returned)


def _not_possible(
    order: Order, command: orders.RefundOrder, reason: RefundRefuseReason, detail: str
) -> Decision[Order]:
    refused = orders.RefundNotPossible(
        order_id=command.order_id,
        refund_id=command.refund_id,
        staff_id=command.staff_id,
        reason=reason,
        detail=detail,
    )
    return Decision(order, refused)


def recall(order: Order, event: Recalled) -> Decision[Order]:
    """A refund after the database was set back."""
    match event:
        case orders.RefundRequested() if order.dispatched:
            return Decision(with_requested(order, event))
        case orders.GoodsReturned(refund_id=id_) if refund := find(order, id_):
            status = RefundStatus.GOODS_ONLY if event.settled_outside else RefundStatus.DONE
            return Decision(with_status(order, refund, status))
        case _:
            raise OutOfTurn(order, event)
