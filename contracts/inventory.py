"""The commands and events of inventory_svc, about stock."""

from enum import StrEnum
from typing import Annotated

from pydantic import AfterValidator, Field

from chassis.messaging.message import Command, Event, Owner, Sender
from contracts.values import Id, OrderLine, ReturnedLines, Sku

INVENTORY = Owner("inventory", service="inventory_svc")

PIECES_MAX = 10_000_000
ReceivedQuantity = Annotated[int, Field(strict=True, ge=1, le=PIECES_MAX)]


def _not_zero(change: int) -> int:
    if change == 0:
        raise ValueError("a correction changes the stock by at least one piece")
    return change


StockChange = Annotated[
    int,
    Field(strict=True, ge=-PIECES_MAX, le=PIECES_MAX, json_schema_extra={"not": {"const": 0}}),
    AfterValidator(_not_zero),
]


class CorrectionReason(StrEnum):
    """Why the stock in the books was wrong: a count found another number, or pieces are damaged."""

    COUNT = "count"
    DAMAGE = "damage"


class Shortage(OrderLine):
    """A line that could not be reserved, and how many were available."""

    available: int


class ReceiveStock(
    Command, owner=INVENTORY, type="inventory.receive.v1", subject="receipt_id", sender=Sender.STAFF
):
    """Book in received goods. The receipt's id ensures that they are counted once."""

    receipt_id: Id
    sku: Sku
    quantity: ReceivedQuantity


class StockReceived(Event, owner=INVENTORY, type="inventory.stock_received.v1", subject="receipt_id"):
    """The goods of a receipt are on the shelf."""

    receipt_id: Id
    sku: Sku
    quantity: ReceivedQuantity


class CorrectStock(
    Command, owner=INVENTORY, type="inventory.correct.v1", subject="correction_id", sender=Sender.STAFF
):
    """Change the stock of an article by a number of pieces, below 0 for fewer.

    The correction's id ensures that it counts once.
    """

    correction_id: Id
    sku: Sku
    change: StockChange
    reason: CorrectionReason


class StockCorrected(Event, owner=INVENTORY, type="inventory.stock_corrected.v1", subject="correction_id"):
    """The pieces of a correction are on the shelf, or no longer on it."""

    correction_id: Id
    sku: Sku
    change: StockChange
    reason: CorrectionReason


class CorrectionRefused(
    Event, owner=INVENTORY, type="inventory.correction_refused.v1", subject="correction_id"
):
    """Fewer pieces are available than the correction removes; reserved and sold pieces stay.

    Nothing has changed.
    """

    correction_id: Id
    sku: Sku
    change: StockChange
    available: int


class StockReserved(Event, owner=INVENTORY, type="inventory.stock_reserved.v1", subject="order_id"):
    """inventory_svc holds the stock of every line until the order's outcome commits or releases it."""

    order_id: Id


class StockRejected(Event, owner=INVENTORY, type="inventory.stock_rejected.v1", subject="order_id"):
    """At least one line is short, so nothing is reserved."""

    order_id: Id
    short: tuple[Shortage, ...]


class StockCommitted(Event, owner=INVENTORY, type="inventory.stock_committed.v1", subject="order_id"):
    """The reserved goods are sold and on the picking list."""

    order_id: Id


class StockReleased(Event, owner=INVENTORY, type="inventory.stock_released.v1", subject="order_id"):
    """The goods can be sold again; `restocked` if they had been sold already."""

    order_id: Id
    restocked: bool = False


class StockReturned(Event, owner=INVENTORY, type="inventory.stock_returned.v1", subject="order_id"):
    """The goods of a refund are booked: they can be sold again, or are written off as damaged."""

    order_id: Id
    refund_id: Id
    returned: ReturnedLines
