"""What we remember about an order."""

from dataclasses import dataclass
from enum import StrEnum
from uuid import UUID

from contracts.orders import CancelReason
from contracts.values import NOBODY, NOTHING, Money, PricedLine


class Status(StrEnum):
    """`placed` is under way; all others are at rest."""

    NEW = "new"
    PLACED = "placed"
    CONFIRMED = "confirmed"
    DISPATCHED = "dispatched"
    CANCELLED = "cancelled"
    REJECTED = "rejected"
    NEEDS_ATTENTION = "needs_attention"


@dataclass(frozen=True, slots=True)
class Order:
    """`stock_reserved` and `payment_authorized` say what has come in; the pivot needs both."""

    status: Status = Status.NEW
    order_id: UUID = NOBODY
    customer_id: UUID = NOBODY
    lines: tuple[PricedLine, ...] = ()
    total: Money = NOTHING
    stock_reserved: bool = False
    payment_authorized: bool = False
    cancel_reason: CancelReason | None = None
    # A cancellation that overtook its order: who asked. The order is then ended as soon as it comes.
    cancel_asked_by: UUID | None = None

    @property
    def awaits(self) -> list[str]:
        """What the order waits for while it is placed."""
        if self.status is not Status.PLACED:
            return []
        stock = [] if self.stock_reserved else ["stock"]
        return stock if self.payment_authorized else [*stock, "payment"]
