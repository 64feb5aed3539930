"""The state of an order."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from uuid import UUID

from contracts import order_saga, orders
from contracts.http.orders import OrderStatus, RefundStatus
from contracts.orders import CancelReason, RejectReason
from contracts.values import NIL_UUID, NOTHING, Money, PricedLine, ReturnedLine, quantities

# Only the customer knows the id of an order that is not yet placed. The limit keeps guesses from filling a
# document.
CANCEL_REQUESTS_MAX = 10


@dataclass(frozen=True, slots=True)
class OrderRefund:
    """A refund of a part. A refused one is kept, so that its id counts once."""

    refund_id: UUID
    amount: Money
    returned: tuple[ReturnedLine, ...] = ()
    status: RefundStatus = RefundStatus.REQUESTED


@dataclass(frozen=True, slots=True)
class Order:
    """An order. `stock_reserved` and `payment_authorized` record the results so far; the pivot needs both.

    `dispatched` outlives the status of that name: an order that needs attention may already have left.
    """

    status: OrderStatus = OrderStatus.NEW
    order_id: UUID = NIL_UUID
    customer_id: UUID = NIL_UUID
    lines: tuple[PricedLine, ...] = ()
    total: Money = NOTHING
    stock_reserved: bool = False
    payment_authorized: bool = False
    dispatched: bool = False
    # The beginning of the return window. None if it is not dispatched; or if the command had no time that can
    # be read, or an earlier version recorded it: then the window has no end.
    dispatched_at: datetime | None = None
    cancel_reason: CancelReason | None = None
    reject_reason: RejectReason | None = None
    # As text: why it was rejected, how a provider's result differed, or what needs attention.
    detail: str = ""
    # The users whose cancellations overtook the order. If its customer is among them, it ends as soon as it
    # is placed.
    cancel_asked_by: frozenset[UUID] = frozenset()
    # When the customer placed it, as the command says; None if it was placed before this was recorded, or the
    # command has no time that can be read.
    placed_at: datetime | None = None
    # The carrier's reference. Before the dispatch: staff have recorded it already.
    tracking: str = ""
    # When staff sent the command with this reference; None if there is none, or if an earlier version has
    # recorded it, or only an event has told it.
    tracking_at: datetime | None = None
    # The attempt of the payment up to which failures are resolved; -1: none. One of them may arrive later.
    resolved: int = -1
    refunds: tuple[OrderRefund, ...] = ()

    def same_as(self, command: orders.PlaceOrder) -> bool:
        """Whether a second PlaceOrder repeats the first: the same customer and the same goods."""
        same_goods = self.status is OrderStatus.REJECTED or quantities(self.lines) == quantities(
            command.lines
        )
        return self.customer_id == command.customer_id and same_goods

    def returnable_until(self, return_window: timedelta) -> datetime | None:
        """The end of the return window; None if it has none."""
        return None if self.dispatched_at is None else (self.dispatched_at + return_window).astimezone(UTC)

    @property
    def awaits(self) -> list[str]:
        """What a placed order still waits for."""
        if self.status is not OrderStatus.PLACED:
            return []
        done = {order_saga.STOCK: self.stock_reserved, order_saga.PAYMENT: self.payment_authorized}
        return [step.name for step, is_done in done.items() if not is_done]
