"""HTTP models of order_svc."""

from collections.abc import Iterable
from datetime import datetime
from enum import StrEnum
from typing import Annotated
from uuid import UUID

from pydantic import BaseModel, Field

from contracts.orders import CancelReason, RejectReason
from contracts.values import Money, OrderLine, PricedLine, ReturnedLine, quantities

ReturnDays = Annotated[
    int,
    Field(
        ge=1,
        description="days after the dispatch until which goods can come back by a refund; the same for "
        "order_svc and inventory_svc",
    ),
]
"""The setting RETURN_DAYS."""
USUAL_RETURN_DAYS = 30


class OrderStatus(StrEnum):
    """`new`: not placed yet.

    `placed`: undecided. A `confirmed` order may be cancelled until it is dispatched.
    """

    NEW = "new"
    PLACED = "placed"
    CONFIRMED = "confirmed"
    DISPATCHED = "dispatched"
    CANCELLED = "cancelled"
    REJECTED = "rejected"
    NEEDS_ATTENTION = "needs_attention"


class RefundStatus(StrEnum):
    """`requested`: payment_svc has not decided yet. `refused`: no money moved, and no goods are booked.

    `goods_only`: the goods are booked, and no money moved here, because the payment was settled outside.
    Staff give the money back there.
    """

    REQUESTED = "requested"
    DONE = "done"
    REFUSED = "refused"
    GOODS_ONLY = "goods_only"


BOOKED = frozenset({RefundStatus.DONE, RefundStatus.GOODS_ONLY})
"""The goods of a refund with one of these statuses are booked as returned."""
# What staff read about a refund that is `goods_only`.
GIVE_BACK_OUTSIDE = "settled outside: no money moved here; give back outside what the customer paid"


class OrderRefundView(BaseModel):
    """A refund of a part. `returned`: the goods that it is for; none if it is only an amount."""

    refund_id: UUID
    amount: Money
    returned: tuple[ReturnedLine, ...]
    status: RefundStatus


class OrderView(BaseModel):
    """An order. `awaits`: what it waits for while it is placed."""

    order_id: UUID
    customer_id: UUID
    status: OrderStatus
    awaits: list[str]
    deadline_at: datetime | None = Field(description="when it is cancelled unless it is decided before")
    lines: tuple[PricedLine, ...]
    total: Money
    cancel_reason: CancelReason | None
    reject_reason: RejectReason | None
    tracking: str = Field(default="", description="the carrier's tracking reference; empty if there is none")
    refunds: tuple[OrderRefundView, ...] = Field(
        default=(), description="the refunds of parts, with the goods that they are for"
    )
    returnable_until: datetime | None = Field(
        default=None,
        description="until when a refund may be for pieces that come back; null if it is not dispatched, or "
        "its dispatch has no known time: then there is no limit",
    )
    detail: str = Field(description="why it was rejected, or what needs attention, as text")
    placed_at: datetime | None = Field(
        default=None, description="when it was placed; null if it is not, or that is not known yet"
    )
    changed_at: datetime | None = Field(description="its last change; null if an earlier version wrote it")

    def return_window_ended(self, now: datetime) -> bool:
        return self.returnable_until is not None and now > self.returnable_until

    def left_to_return(self) -> dict[str, int]:
        """The pieces of each article that no refund is for yet."""
        left = quantities(self.lines)
        for refund in self.refunds:
            if refund.status is not RefundStatus.REFUSED:
                for line in refund.returned:
                    left[line.sku] -= line.quantity
        return left

    def price_of(self, lines: Iterable[OrderLine]) -> Money:
        """The price of some of its pieces, as the customer paid it."""
        prices = {line.sku: line.price for line in self.lines}
        amount_minor = sum(prices[line.sku].times(line.quantity).amount_minor for line in lines)
        return Money(amount_minor=amount_minor, currency=self.total.currency)


class OrderPage(BaseModel):
    """`next`: the `after` of the following page; null on the last one."""

    items: list[OrderView]
    next: UUID | None


class OrderSearchPage(BaseModel):
    """`next`: the `after` of the following page; null on the last one.

    `complete`: false while orders that an earlier version stored are still prepared for the search.
    """

    items: list[OrderView]
    next: str | None
    complete: bool
