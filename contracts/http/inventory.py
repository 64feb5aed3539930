"""HTTP models of inventory_svc."""

from enum import StrEnum
from uuid import UUID

from pydantic import BaseModel, Field

from contracts.inventory import CorrectionReason
from contracts.values import OrderLine, ReturnedLine

# The largest number of available pieces that `GET /stock` filters by.
LOW_STOCK_MAX = 100
# What inventory_svc calls low stock, unless its setting LOW_STOCK says otherwise.
USUAL_LOW_STOCK = 5


class ReservationStatus(StrEnum):
    """`released` is also the tombstone of an order whose cancellation arrived before the order."""

    NEW = "new"
    HELD = "held"
    REJECTED = "rejected"
    COMMITTED = "committed"
    DISPATCHED = "dispatched"
    RELEASED = "released"


class CorrectionStatus(StrEnum):
    """`refused`: fewer pieces were available than it removes."""

    NEW = "new"
    APPLIED = "applied"
    REFUSED = "refused"


class ShelfView(BaseModel):
    """One article's stock. available + reserved + sold = received, always.

    `received`: by deliveries and corrections.
    """

    sku: str
    available: int
    reserved: int
    sold: int
    received: int


class ShelfPage(BaseModel):
    """`next`: the `after` of the following page; null on the last one.

    `low_stock`: an article is low in stock while at most so many pieces are available.
    """

    items: list[ShelfView]
    next: str | None
    low_stock: int = USUAL_LOW_STOCK


class CorrectionView(BaseModel):
    """A correction of the stock. `available`: the pieces that were left after it."""

    correction_id: UUID
    status: CorrectionStatus
    sku: str
    change: int
    reason: CorrectionReason
    available: int


class ReturnView(BaseModel):
    """The goods of a refund, as they are booked."""

    refund_id: UUID
    returned: tuple[ReturnedLine, ...]


class ReservationView(BaseModel):
    """The goods held or sold for an order. `lines` contain those that came back, too."""

    order_id: UUID
    status: ReservationStatus
    lines: tuple[OrderLine, ...]
    returns: tuple[ReturnView, ...] = Field(
        default=(), description="what came back after the dispatch, for each refund"
    )


class ReservationPage(BaseModel):
    """`next`: the `after` of the following page; null on the last one."""

    items: list[ReservationView]
    next: UUID | None
