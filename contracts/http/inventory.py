"""HTTP models of inventory_svc."""

from enum import StrEnum
from uuid import UUID

from pydantic import BaseModel

from contracts.values import OrderLine


class ReservationStatus(StrEnum):
    """`released` is also the tombstone of an order whose cancellation arrived before the order."""

    NEW = "new"
    HELD = "held"
    REJECTED = "rejected"
    COMMITTED = "committed"
    DISPATCHED = "dispatched"
    RELEASED = "released"


class ShelfView(BaseModel):
    """One article's stock. available + reserved + sold = received, always."""

    sku: str
    available: int
    reserved: int
    sold: int
    received: int


class ShelfPage(BaseModel):
    """`next`: the `after` of the following page; null on the last one."""

    items: list[ShelfView]
    next: str | None


class ReservationView(BaseModel):
    """The goods held or sold for an order."""

    order_id: UUID
    status: ReservationStatus
    lines: tuple[OrderLine, ...]


class ReservationPage(BaseModel):
    """`next`: the `after` of the following page; null on the last one."""

    items: list[ReservationView]
    next: UUID | None
