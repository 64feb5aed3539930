"""The commands and events of inventory_svc, about stock."""

from typing import Annotated

from pydantic import Field

from chassis.messaging.message import Command, Event, Owner, Sender
from contracts.values import Id, OrderLine, Sku

INVENTORY = Owner("inventory", service="inventory_svc")

ReceivedQuantity = Annotated[int, Field(strict=True, ge=1, le=10_000_000)]


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
