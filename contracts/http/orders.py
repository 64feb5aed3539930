"""HTTP models of order_svc."""

from datetime import datetime
from enum import StrEnum
from uuid import UUID

from pydantic import BaseModel, Field

from contracts.orders import CancelReason, RejectReason
from contracts.values import Money, PricedLine


class OrderStatus(StrEnum):
    """`placed` is under way; all others are at rest."""

    NEW = "new"
    PLACED = "placed"
    CONFIRMED = "confirmed"
    DISPATCHED = "dispatched"
    CANCELLED = "cancelled"
    REJECTED = "rejected"
    NEEDS_ATTENTION = "needs_attention"


class OrderView(BaseModel):
    """An order as its service knows it. `awaits`: what it waits for while it is placed."""

    order_id: UUID
    customer_id: UUID
    status: OrderStatus
    awaits: list[str]
    deadline_at: datetime | None = Field(description="when it is cancelled if it still waits")
    lines: tuple[PricedLine, ...]
    total: Money
    cancel_reason: CancelReason | None
    reject_reason: RejectReason | None
    detail: str = Field(description="for a person: why it was rejected, or what needs attention")
    changed_at: datetime | None = Field(description="its last change; null if an earlier version wrote it")


class OrderPage(BaseModel):
    """`next`: the `after` of the following page; null on the last one."""

    items: list[OrderView]
    next: UUID | None
