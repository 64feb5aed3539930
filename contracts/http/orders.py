"""HTTP models of order_svc."""

from datetime import datetime
from enum import StrEnum
from uuid import UUID

from pydantic import BaseModel, Field

from contracts.orders import CancelReason, RejectReason
from contracts.values import Money, PricedLine


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
    detail: str = Field(description="why it was rejected, or what needs attention, as text")
    placed_at: datetime | None = Field(
        default=None, description="when it was placed; null if it is not, or that is not known yet"
    )
    changed_at: datetime | None = Field(description="its last change; null if an earlier version wrote it")


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
