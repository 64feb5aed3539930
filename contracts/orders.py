"""The commands and events of order_svc, which alone decides an order's status."""

from enum import StrEnum
from typing import Annotated

from pydantic import Field

from chassis.messaging.message import Command, Event, Owner, Sender
from contracts.values import LINES_MAX, Id, Money, OrderLine, PricedLine, RequestedLine, ReturnedLines

ORDER = Owner("order", service="order_svc")

CardToken = Annotated[str, Field(strict=True, pattern=r"^[A-Za-z0-9_-]{1,64}$", examples=["tok_visa_4242"])]
# The card token of an order whose total is zero: no card is needed. Any other order with it is declined.
NO_CARD = "none"
# The carrier's number of a parcel. The carrier's pages may show the recipient's town, so no event for client
# programs contains it. docs/retention.md says what remains of it after an erasure.
Tracking = Annotated[
    str, Field(strict=True, pattern=r"^[A-Z0-9][A-Z0-9-]{3,39}$", examples=["RR123456785DE"])
]
Lines = Annotated[tuple[OrderLine, ...], Field(min_length=1, max_length=LINES_MAX)]


class RejectReason(StrEnum):
    """Why an order was not accepted."""

    UNKNOWN_SKU = "unknown_sku"
    WITHDRAWN = "withdrawn"
    QUANTITY_TOO_LARGE = "quantity_too_large"
    MIXED_CURRENCY = "mixed_currency"
    TOTAL_CHANGED = "total_changed"


class CancelReason(StrEnum):
    """Why an accepted order ended without delivery."""

    OUT_OF_STOCK = "out_of_stock"
    PAYMENT_DECLINED = "payment_declined"
    CUSTOMER = "customer"
    DEADLINE = "deadline"


class RefuseReason(StrEnum):
    """Why a command about an existing order was refused."""

    NOT_YOURS = "not_yours"
    NOT_CONFIRMED = "not_confirmed"
    ALREADY_ENDED = "already_ended"
    ALREADY_DISPATCHED = "already_dispatched"
    ALREADY_PLACED = "already_placed"


class StaffRefuseReason(StrEnum):
    """Why a cancellation by staff was refused."""

    NEEDS_NO_ATTENTION = "needs_no_attention"
    ALREADY_DISPATCHED = "already_dispatched"


class RefundRefuseReason(StrEnum):
    """Why a refund of a part was refused before payment_svc was asked."""

    NOT_DISPATCHED = "not_dispatched"
    NOT_IN_ORDER = "not_in_order"
    ALREADY_RETURNED = "already_returned"
    AMOUNT_TOO_HIGH = "amount_too_high"
    TOO_MANY_REFUNDS = "too_many_refunds"
    RETURN_WINDOW_ENDED = "return_window_ended"


class PlaceOrder(Command, owner=ORDER, type="order.place.v1", subject="order_id", asked_by=("gateway",)):
    """Place an order. The client chooses the id, so that sending it twice creates one order."""

    order_id: Id
    customer_id: Id
    lines: Lines
    card_token: CardToken
    total_seen: Money | None = None


class CancelOrder(Command, owner=ORDER, type="order.cancel.v1", subject="order_id", asked_by=("gateway",)):
    """Cancel an order that is not dispatched yet."""

    order_id: Id
    customer_id: Id


class CancelAsStaff(
    Command, owner=ORDER, type="order.cancel_as_staff.v1", subject="order_id", sender=Sender.STAFF
):
    """Cancel an order that needs attention and has not been dispatched. Its payment is voided."""

    order_id: Id
    staff_id: Id


class DispatchOrder(Command, owner=ORDER, type="order.dispatch.v1", subject="order_id", sender=Sender.STAFF):
    """The warehouse asks whether the parcel may leave now."""

    order_id: Id


class RefundOrder(Command, owner=ORDER, type="order.refund.v1", subject="order_id", sender=Sender.STAFF):
    """Refund a part of an order that has been dispatched. The refund's id ensures that it counts once.

    `returned`: the pieces that the refund is for, and where each goes; none if it is only an amount. The
    amount is at most their price. The command with pieces must be sent within the return window.
    """

    order_id: Id
    refund_id: Id
    staff_id: Id
    amount: Money
    returned: ReturnedLines = ()


class RecordTracking(
    Command, owner=ORDER, type="order.record_tracking.v1", subject="order_id", sender=Sender.STAFF
):
    """Note the carrier's tracking reference of the order's parcel; the one that was sent last counts."""

    order_id: Id
    tracking: Tracking


class DeadlinePassed(
    Command, owner=ORDER, type="order.deadline_passed.v1", subject="order_id", sender=Sender.SELF
):
    """order_svc's reminder to itself that an order has waited long enough.

    The order's status decides whether it matters.
    """

    order_id: Id


class OrderPlaced(Event, owner=ORDER, type="order.placed.v1", subject="order_id"):
    """The order is accepted; its prices and total are fixed."""

    order_id: Id
    customer_id: Id
    lines: tuple[PricedLine, ...]
    total: Money
    card_token: CardToken


class OrderRejected(Event, owner=ORDER, type="order.rejected.v1", subject="order_id", for_clients=True):
    """The order was not accepted. For a changed total, both totals are given.

    `lines`: the requested lines, with the titles and prices of the price book at that time. Earlier versions
    sent none.
    """

    order_id: Id
    customer_id: Id
    reason: RejectReason
    detail: str
    total_seen: Money | None = None
    total_now: Money | None = None
    lines: Annotated[tuple[RequestedLine, ...], Field(max_length=LINES_MAX)] = ()


class OrderConfirmed(Event, owner=ORDER, type="order.confirmed.v1", subject="order_id", for_clients=True):
    """The stock is reserved and the payment authorised: the order will be delivered."""

    order_id: Id
    customer_id: Id
    total: Money


class OrderCancelled(Event, owner=ORDER, type="order.cancelled.v1", subject="order_id", for_clients=True):
    """The order has ended; reserved stock and authorised or captured money are released."""

    order_id: Id
    customer_id: Id
    reason: CancelReason
    after_confirmation: bool = False


class OrderDispatched(Event, owner=ORDER, type="order.dispatched.v1", subject="order_id", for_clients=True):
    """The parcel has left; the order can no longer be cancelled."""

    order_id: Id
    customer_id: Id


class RefundRequested(Event, owner=ORDER, type="order.refund_requested.v1", subject="order_id"):
    """Staff refund a part of a dispatched order; payment_svc decides whether so much is left.

    `returned`: what the refund is for. The goods are booked when the amount is refunded, or settled outside.
    """

    order_id: Id
    refund_id: Id
    staff_id: Id
    amount: Money
    returned: ReturnedLines = ()


class RefundNotPossible(Event, owner=ORDER, type="order.refund_not_possible.v1", subject="order_id"):
    """A RefundOrder was refused; no money moved, and no goods are booked.

    An order that has not been dispatched is refunded by its cancellation. `detail`: the line, for staff.
    """

    order_id: Id
    refund_id: Id
    staff_id: Id
    reason: RefundRefuseReason = RefundRefuseReason.NOT_DISPATCHED
    detail: str = ""


class GoodsReturned(Event, owner=ORDER, type="order.goods_returned.v1", subject="order_id"):
    """A refund with returned goods is carried out; inventory_svc books them once for each refund.

    `settled_outside`: no money moved here; staff give it back where they have settled the payment.
    """

    order_id: Id
    refund_id: Id
    returned: ReturnedLines
    settled_outside: bool = False


class TrackingRecorded(Event, owner=ORDER, type="order.tracking_recorded.v1", subject="order_id"):
    """The order is dispatched, and this is its tracking reference; the latest event has the valid one."""

    order_id: Id
    customer_id: Id
    tracking: Tracking


class TrackingRefused(Event, owner=ORDER, type="order.tracking_refused.v1", subject="order_id"):
    """A RecordTracking was refused: the order is neither dispatched nor ready for it, or it has the tracking
    reference of a command that was sent later. `detail`: which, for staff.
    """

    order_id: Id
    detail: str = ""


class CancellationRefused(
    Event, owner=ORDER, type="order.cancellation_refused.v1", subject="order_id", for_clients=True
):
    """A CancelOrder was refused; the order stays as it is."""

    order_id: Id
    reason: RefuseReason


class StaffCancellationRefused(
    Event, owner=ORDER, type="order.staff_cancellation_refused.v1", subject="order_id"
):
    """A CancelAsStaff was refused; the order stays as it is."""

    order_id: Id
    staff_id: Id
    reason: StaffRefuseReason


class DispatchRefused(Event, owner=ORDER, type="order.dispatch_refused.v1", subject="order_id"):
    """A DispatchOrder was refused; the parcel must not leave."""

    order_id: Id
    reason: RefuseReason


class PlacementRefused(
    Event, owner=ORDER, type="order.placement_refused.v1", subject="order_id", for_clients=True
):
    """A second, different PlaceOrder used the id of an existing order; that order stays as it is."""

    order_id: Id
    reason: RefuseReason


class OrderNeedsAttention(
    Event, owner=ORDER, type="order.needs_attention.v1", subject="order_id", for_clients=True
):
    """No rule can resolve what happened to the order: a person has to.

    `attempt`: of the payment, see payments.PaymentFailed.
    """

    order_id: Id
    customer_id: Id
    detail: str
    attempt: int = 0


class OrderResolved(Event, owner=ORDER, type="order.resolved.v1", subject="order_id"):
    """What needed attention is resolved: the order is confirmed or dispatched again, as before.

    `attempt`: of the payment, see payments.PaymentResolved.
    """

    order_id: Id
    customer_id: Id
    attempt: int
