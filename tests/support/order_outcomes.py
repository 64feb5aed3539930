"""Every outcome of an order as a sequence of events, for the tests of timeline and progress."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from uuid import UUID

from chassis.core.decision import Context
from chassis.messaging.message import Event
from contracts import inventory, notifications, orders, payments
from contracts.inventory import Shortage
from contracts.notifications import MailKind
from contracts.orders import CancelReason, RefuseReason, RejectReason
from contracts.payments import DeclineReason
from contracts.values import Money, PricedLine
from gateway.orders.decider import decide
from gateway.orders.timeline import (
    CancellationSubmitted,
    OrderSubmitted,
    OrderTimeline,
    SubmitOrder,
    UserAction,
)

BEGUN = datetime(2026, 3, 1, 14, 2, 5, tzinfo=UTC)
ORDER = UUID(int=(int(BEGUN.timestamp() * 1000) << 80) | (0x7 << 76) | (0x2 << 62) | 0x7F3C2A)
ADA = UUID(int=1)
KETTLES = PricedLine(sku="KETTLE-BLUE", quantity=2, price=Money(amount_minor=2990, currency="EUR"))
TEA = PricedLine(sku="TEA-GREEN", quantity=1, price=Money(amount_minor=420, currency="EUR"))
LINES = (KETTLES, TEA)
TOTAL = Money(amount_minor=6400, currency="EUR")
FREE = Money(amount_minor=0, currency="EUR")

PLACED = orders.OrderPlaced(order_id=ORDER, customer_id=ADA, lines=LINES, total=TOTAL, card_token="tok_visa")
CONFIRMED = orders.OrderConfirmed(order_id=ORDER, customer_id=ADA, total=TOTAL)
DISPATCHED = orders.OrderDispatched(order_id=ORDER, customer_id=ADA)
TRACKED = orders.TrackingRecorded(order_id=ORDER, customer_id=ADA, tracking="RR123456785DE")
ATTENTION = orders.OrderNeedsAttention(order_id=ORDER, customer_id=ADA, detail="capture refused")
RESOLVED = orders.OrderResolved(order_id=ORDER, customer_id=ADA, attempt=0)
TOO_LATE = orders.CancellationRefused(order_id=ORDER, reason=RefuseReason.ALREADY_DISPATCHED)
RESERVED = inventory.StockReserved(order_id=ORDER)
RELEASED = inventory.StockReleased(order_id=ORDER)
RESTOCKED = inventory.StockReleased(order_id=ORDER, restocked=True)
COMMITTED = inventory.StockCommitted(order_id=ORDER)
SHORT = inventory.StockRejected(order_id=ORDER, short=(Shortage(sku="KETTLE-BLUE", quantity=2, available=1),))
AUTHORIZED = payments.PaymentAuthorized(order_id=ORDER, amount=TOTAL)
DECLINED = payments.PaymentDeclined(order_id=ORDER, reason=DeclineReason.INSUFFICIENT_FUNDS)
CAPTURED = payments.PaymentCaptured(order_id=ORDER, amount=TOTAL)
FAILED = payments.PaymentFailed(order_id=ORDER, detail="capture refused")
SETTLED = payments.PaymentResolved(
    order_id=ORDER,
    effect=payments.Effect.CAPTURE,
    attempt=0,
    settlement=payments.Settlement(reason=payments.SettlementReason.PAID, amount=TOTAL, reference="BANK-815"),
)
REPEATED = payments.PaymentResolved(order_id=ORDER, effect=payments.Effect.CAPTURE, attempt=1)
REFUSED_RESPONSE = payments.PaymentDeclined(
    order_id=ORDER,
    reason=DeclineReason.PROVIDER_MISMATCH,
    detail="asked to authorise 64.00 EUR, answered 32.00 EUR",
)
MISMATCHED = payments.PaymentMismatched(order_id=ORDER, effect=payments.Effect.CAPTURE, detail="32.00 EUR")
REFUND_MISMATCHED = payments.PaymentMismatched(
    order_id=ORDER, effect=payments.Effect.REFUND, detail="32.00 EUR"
)
VOIDED = payments.PaymentVoided(order_id=ORDER)
REFUNDED = payments.PaymentRefunded(order_id=ORDER, customer_id=ADA, amount=TOTAL)
SUBMIT = SubmitOrder(ADA, LINES, TOTAL, BEGUN)


def cancelled(reason: CancelReason, *, after_confirmation: bool = False) -> orders.OrderCancelled:
    return orders.OrderCancelled(
        order_id=ORDER, customer_id=ADA, reason=reason, after_confirmation=after_confirmation
    )


def rejected(reason: RejectReason, detail: str) -> orders.OrderRejected:
    return orders.OrderRejected(order_id=ORDER, customer_id=ADA, reason=reason, detail=detail)


def part_refunded(amount: int, so_far: int) -> payments.PaymentPartRefunded:
    return payments.PaymentPartRefunded(
        order_id=ORDER,
        customer_id=ADA,
        refund_id=UUID(int=(7 << 76) | (2 << 62) | so_far),
        amount=Money(amount_minor=amount, currency="EUR"),
        refunded=Money(amount_minor=so_far, currency="EUR"),
    )


def mailed(kind: MailKind) -> notifications.MailSent:
    return notifications.MailSent(about=ORDER, kind=kind)


def replay(
    *items: Event | UserAction | type[OrderSubmitted] | type[CancellationSubmitted] | timedelta,
) -> tuple[OrderTimeline, datetime]:
    """The timeline after these events and actions, one second apart, and the time then.

    A timedelta is a pause.
    """
    timeline, now = OrderTimeline(), BEGUN
    for item in items:
        match item:
            case timedelta():
                now += item
            case type():
                now += timedelta(seconds=1)
                timeline = decide(timeline, item(now), Context()).state
            case _:
                now += timedelta(seconds=1)
                timeline = decide(timeline, item, Context(sent_at=now)).state
    return timeline, now


History = Sequence[Event | UserAction | type[OrderSubmitted] | type[CancellationSubmitted] | timedelta]
_ASKED: History = (SUBMIT, OrderSubmitted)
_BOUGHT: History = (*_ASKED, PLACED, RESERVED, AUTHORIZED, CONFIRMED, CAPTURED, COMMITTED)
CANCELLED_BY_CUSTOMER = cancelled(CancelReason.CUSTOMER)
_AFTERWARDS = cancelled(CancelReason.CUSTOMER, after_confirmation=True)
_A_MINUTE = timedelta(minutes=1)

_FAILED: History = (*_ASKED, PLACED, RESERVED, AUTHORIZED, CONFIRMED, FAILED, ATTENTION)
OUTCOMES: dict[str, History] = {
    "sending": (SUBMIT,),
    "not sent": (SUBMIT, _A_MINUTE),
    "received": _ASKED,
    "placed": (*_ASKED, PLACED),
    "waiting for stock": (*_ASKED, PLACED, _A_MINUTE),
    "paying": (*_ASKED, PLACED, RESERVED),
    "waiting for payment": (*_ASKED, PLACED, RESERVED, _A_MINUTE),
    "confirming": (*_ASKED, PLACED, RESERVED, AUTHORIZED),
    "confirmed": _BOUGHT,
    "confirmed and mailed": (*_BOUGHT, mailed(MailKind.ORDER_CONFIRMED)),
    "confirmed after a while": (
        *_ASKED,
        PLACED,
        RESERVED,
        2 * _A_MINUTE,
        AUTHORIZED,
        CONFIRMED,
        CAPTURED,
        mailed(MailKind.ORDER_CONFIRMED),
    ),
    "mail superseded": (
        *_BOUGHT,
        cancelled(CancelReason.CUSTOMER, after_confirmation=True),
        notifications.MailSuperseded(
            about=ORDER, kind=MailKind.ORDER_CONFIRMED, superseded_by=MailKind.ORDER_CANCELLED
        ),
        REFUNDED,
        mailed(MailKind.ORDER_CANCELLED),
        mailed(MailKind.PAYMENT_REFUNDED),
    ),
    "mail undeliverable": (
        *_BOUGHT,
        notifications.MailUndeliverable(about=ORDER, kind=MailKind.ORDER_CONFIRMED, detail="refused"),
    ),
    "dispatched": (
        *_BOUGHT,
        mailed(MailKind.ORDER_CONFIRMED),
        60 * _A_MINUTE,
        DISPATCHED,
        mailed(MailKind.ORDER_DISPATCHED),
    ),
    "dispatched and tracked": (
        *_BOUGHT,
        mailed(MailKind.ORDER_CONFIRMED),
        DISPATCHED,
        TRACKED,
        mailed(MailKind.ORDER_DISPATCHED),
    ),
    "refunded in part": (
        *_BOUGHT,
        mailed(MailKind.ORDER_CONFIRMED),
        DISPATCHED,
        mailed(MailKind.ORDER_DISPATCHED),
        part_refunded(1_400, 1_400),
        part_refunded(600, 2_000),
        mailed(MailKind.PAYMENT_REFUNDED),
    ),
    "too late to cancel": (
        *_BOUGHT,
        mailed(MailKind.ORDER_CONFIRMED),
        DISPATCHED,
        CancellationSubmitted,
        TOO_LATE,
    ),
    "out of stock": (
        *_ASKED,
        PLACED,
        SHORT,
        cancelled(CancelReason.OUT_OF_STOCK),
        mailed(MailKind.ORDER_CANCELLED),
    ),
    "declined": (
        *_ASKED,
        PLACED,
        RESERVED,
        DECLINED,
        cancelled(CancelReason.PAYMENT_DECLINED),
        RELEASED,
        mailed(MailKind.ORDER_CANCELLED),
    ),
    "cancellation requested": (*_ASKED, PLACED, RESERVED, CancellationSubmitted),
    "cancelled before placed": (
        *_ASKED,
        CancellationSubmitted,
        CANCELLED_BY_CUSTOMER,
        mailed(MailKind.ORDER_CANCELLED),
    ),
    "cancelled under way": (
        *_ASKED,
        PLACED,
        RESERVED,
        AUTHORIZED,
        CancellationSubmitted,
        CANCELLED_BY_CUSTOMER,
        RELEASED,
        VOIDED,
        mailed(MailKind.ORDER_CANCELLED),
    ),
    "refunding": (*_BOUGHT, CancellationSubmitted, _AFTERWARDS, RESTOCKED),
    "refunded": (
        *_BOUGHT,
        mailed(MailKind.ORDER_CONFIRMED),
        CancellationSubmitted,
        _AFTERWARDS,
        RESTOCKED,
        REFUNDED,
        mailed(MailKind.ORDER_CANCELLED),
        mailed(MailKind.PAYMENT_REFUNDED),
    ),
    "deadline": (
        *_ASKED,
        PLACED,
        RESERVED,
        15 * _A_MINUTE,
        cancelled(CancelReason.DEADLINE),
        RELEASED,
        mailed(MailKind.ORDER_CANCELLED),
    ),
    "price changed": (
        *_ASKED,
        rejected(RejectReason.TOTAL_CHANGED, "you saw 64.00 EUR, it is now 66.00 EUR; look again"),
    ),
    "unknown article": (*_ASKED, rejected(RejectReason.UNKNOWN_SKU, "KETTLE-BLUE is not in the price book")),
    "other amount authorised": (
        *_ASKED,
        PLACED,
        RESERVED,
        REFUSED_RESPONSE,
        cancelled(CancelReason.PAYMENT_DECLINED),
        RELEASED,
        VOIDED,
        mailed(MailKind.ORDER_CANCELLED),
    ),
    "other amount captured": (*_ASKED, PLACED, RESERVED, AUTHORIZED, CONFIRMED, MISMATCHED, ATTENTION),
    "other amount refunded": (*_BOUGHT, CancellationSubmitted, _AFTERWARDS, RESTOCKED, REFUND_MISMATCHED),
    "needs attention": (*_ASKED, PLACED, RESERVED, AUTHORIZED, CONFIRMED, FAILED, ATTENTION),
    "settled outside": (*_FAILED, SETTLED, RESOLVED, mailed(MailKind.ORDER_CONFIRMED)),
    "captured by a repeated request": (
        *_FAILED,
        CAPTURED,
        REPEATED,
        RESOLVED.model_copy(update={"attempt": 1}),
        mailed(MailKind.ORDER_CONFIRMED),
    ),
    "settled outside after the dispatch": (
        *_FAILED[:-2],
        DISPATCHED,
        *_FAILED[-2:],
        SETTLED,
        RESOLVED,
        mailed(MailKind.ORDER_CONFIRMED),
        mailed(MailKind.ORDER_DISPATCHED),
    ),
}
