"""Projects events onto an order's timeline. The gateway decides nothing about orders: order_svc does."""

from dataclasses import replace
from datetime import datetime

from chassis.core.decision import UNKNOWN_TIME, Context, Decision
from chassis.messaging.message import Event
from contracts import inventory, orders, payments
from contracts.notifications import MailSent, MailSuperseded, MailUndeliverable
from contracts.order_saga import MAILS
from contracts.orders import RefuseReason
from contracts.values import format_money, item_names
from gateway.orders.timeline import (
    CancellationSubmitted,
    OrderSubmitted,
    OrderTimeline,
    SubmitOrder,
    TimelineStatus,
    UserAction,
)

_ABOUT_ORDERS = frozenset(MAILS.values())


def decide(
    timeline: OrderTimeline, message: Event | UserAction, context: Context[object]
) -> Decision[OrderTimeline]:
    sent_at = context.sent_at
    match message:
        # actions of the customer
        case SubmitOrder() if timeline.status is TimelineStatus.NEW:
            return Decision(begin(timeline, message))
        case SubmitOrder():
            return Decision(timeline)  # a retry, or the order's first event arrived earlier
        case OrderSubmitted(at) if timeline.status is TimelineStatus.SENDING:
            return Decision(timeline.with_entry("received", at).advance(TimelineStatus.RECEIVED))
        case OrderSubmitted():
            return Decision(timeline)
        case CancellationSubmitted() if timeline.told and timeline.told[-1].type == "cancellation_requested":
            return Decision(timeline)  # the customer pressed the button twice
        case CancellationSubmitted(at):
            return Decision(timeline.with_entry("cancellation_requested", at))

        # events of order_svc
        case orders.OrderPlaced(customer_id=who, lines=lines, total=total):
            placed = replace(timeline, customer_id=who, lines=lines, total=total)
            return record(placed.advance(TimelineStatus.PLACED), message, sent_at)
        case orders.OrderRejected(customer_id=who, reason=why, detail=detail, lines=lines):
            rejected = replace(timeline.with_requested(lines), customer_id=who, reject_reason=why)
            return record(rejected.advance(TimelineStatus.REJECTED), message, sent_at, detail)
        case orders.OrderConfirmed(customer_id=who):
            return record(timeline.of_customer(who).advance(TimelineStatus.CONFIRMED), message, sent_at)
        case orders.OrderCancelled(customer_id=who, reason=why, after_confirmation=after):
            cancelled = replace(timeline, customer_id=who, cancel_reason=why, after_confirmation=after)
            return record(cancelled.advance(TimelineStatus.CANCELLED), message, sent_at, why)
        case orders.OrderDispatched(customer_id=who):
            return record(timeline.of_customer(who).advance(TimelineStatus.DISPATCHED), message, sent_at)
        case orders.TrackingRecorded(customer_id=who, tracking=tracking):
            return record(timeline.of_customer(who), message, sent_at, tracking)
        case orders.OrderNeedsAttention(customer_id=who, attempt=attempt):
            return record(timeline.of_customer(who).needing_attention(attempt), message, sent_at)
        case orders.OrderResolved(customer_id=who, attempt=attempt):
            return record(timeline.of_customer(who).after_review(attempt), message, sent_at)
        case orders.CancellationRefused(reason=RefuseReason.NOT_YOURS):
            return Decision(timeline, remember=False)  # another user asked: no entry for the customer
        case orders.PlacementRefused(reason=why) | orders.CancellationRefused(reason=why):
            return record(timeline, message, sent_at, why)

        case _:
            return decide_on_others(timeline, message, sent_at)


def begin(timeline: OrderTimeline, submit: SubmitOrder) -> OrderTimeline:
    begun = replace(
        timeline,
        customer_id=submit.customer_id,
        lines=submit.lines,
        total=submit.total,
        sampled=submit.sampled,
        sealed_address=submit.sealed_address,
    )
    return begun.advance(TimelineStatus.SENDING)


def decide_on_others(
    timeline: OrderTimeline, message: Event | UserAction, sent_at: datetime
) -> Decision[OrderTimeline]:
    """The events of the services that report to order_svc."""
    match message:
        case inventory.StockRejected(short=short):
            return record(timeline, message, sent_at, ", ".join(line.sku for line in short))
        case payments.PaymentPartRefunded(customer_id=who, amount=amount, returned=returned):
            known = timeline.of_customer(who).with_refund(message.refunded)
            return record(known, message, sent_at, format_money(amount), item_names(returned))
        case payments.PaymentResolved(settlement=settlement) if settlement is not None:
            return record(timeline, message, sent_at, settlement.reason)
        case payments.PaymentDeclined(reason=why) | payments.PaymentMismatched(effect=why):
            return record(timeline, message, sent_at, why)
        case MailSent(kind=kind) | MailUndeliverable(kind=kind) | MailSuperseded(kind=kind):
            if kind in _ABOUT_ORDERS:
                return record(timeline, message, sent_at, kind)
            return Decision(timeline, remember=False)  # about a user, not about an order
        case _:
            return record(timeline, message, sent_at)


def record(
    timeline: OrderTimeline,
    event: Event | UserAction,
    sent_at: datetime,
    detail: str = "",
    items: tuple[str, ...] = (),
) -> Decision[OrderTimeline]:
    assert isinstance(event, Event)
    at = None if sent_at == UNKNOWN_TIME else sent_at
    return Decision(timeline.with_entry(event.TYPE, at, detail, items))
