"""What we remember about an order."""

from dataclasses import dataclass
from uuid import UUID

from contracts import orders
from contracts.http.orders import OrderStatus
from contracts.orders import CancelReason, RejectReason
from contracts.values import NOBODY, NOTHING, Money, PricedLine, quantities

# Only its customer knows the id of an order that is still to come. The bound keeps guesses from filling a document.
CANCEL_REQUESTS_MAX = 10


@dataclass(frozen=True, slots=True)
class Order:
    """`stock_reserved` and `payment_authorized` say what has come in; the pivot needs both.

    `dispatched` outlives the status of that name: an order that needs attention may have left already.
    """

    status: OrderStatus = OrderStatus.NEW
    order_id: UUID = NOBODY
    customer_id: UUID = NOBODY
    lines: tuple[PricedLine, ...] = ()
    total: Money = NOTHING
    stock_reserved: bool = False
    payment_authorized: bool = False
    dispatched: bool = False
    cancel_reason: CancelReason | None = None
    reject_reason: RejectReason | None = None
    # For a person: why it was rejected, how a provider's answer differed, or what needs attention.
    detail: str = ""
    # Cancellations that overtook their order: who asked first. If its customer did, it is ended as soon as it comes.
    cancel_asked_by: frozenset[UUID] = frozenset()

    def same_as(self, command: orders.PlaceOrder) -> bool:
        """Whether a second PlaceOrder asks for what the first one did: the same customer and the same goods."""
        same_goods = self.status is OrderStatus.REJECTED or quantities(self.lines) == quantities(command.lines)
        return self.customer_id == command.customer_id and same_goods

    @property
    def awaits(self) -> list[str]:
        """What the order waits for while it is placed."""
        if self.status is not OrderStatus.PLACED:
            return []
        stock = [] if self.stock_reserved else ["stock"]
        return stock if self.payment_authorized else [*stock, "payment"]
