"""An invented change of contracts, applied to copies of this checkout.

- `order.placed.v1` gets an optional field, which order_svc also stores in the order.
- `order.confirmed.v2` replaces v1: it has the totals by currency instead of one total, and an upcaster.

The change comes in two releases, as docs/versioning.md says: `reads` declares the new version and still emits
the old one; `writes` emits the new one, and the optional field.
"""

import re
from pathlib import Path

GIFT_NOTE = "wrapped in blue paper"

_V2 = '''

class OrderConfirmed(
    Event,
    owner=ORDER,
    type="order.confirmed.v2",
    subject="order_id",
    for_clients=True,
    upcasts=OrderConfirmedV1,
):
    """The version with the totals by currency."""

    order_id: Id
    customer_id: Id
    totals: tuple[Money, ...]

    @classmethod
    def upcast(cls, older: OrderConfirmedV1) -> "OrderConfirmed":
        return cls(order_id=older.order_id, customer_id=older.customer_id, totals=(older.total,))
'''


def reads(tree: Path) -> None:
    """The release that knows the new version and the new field, and emits neither."""
    contracts, order, notification = (
        tree / name for name in ("contracts/orders.py", "order_svc/order.py", "notification_svc/decider.py")
    )
    _edit(contracts, r"class OrderConfirmed\(", "class OrderConfirmedV1(")
    _edit(contracts, r"(class OrderConfirmedV1\(.*?    total: Money\n)", r"\1" + _V2)
    _edit(
        contracts,
        r"(class OrderPlaced\(.*?    card_token: CardToken\n)",
        r"\1    gift_note: str | None = None\n",
    )
    _edit(order, r"(class Order:.*?    placed_at: datetime \| None = None\n)", r"\1    gift_note: str = ''\n")
    _edit(tree / "order_svc" / "decider.py", r"orders\.OrderConfirmed\(", "orders.OrderConfirmedV1(")
    _edit(
        notification,
        r"orders\.OrderConfirmed\(customer_id=who, total=total\)",
        "orders.OrderConfirmed(customer_id=who, totals=(total,))",
    )
    _edit(
        tree / "tests" / "support" / "messages.py", r"(OrderConfirmed\(.*?)total=TOTAL", r"\1totals=(TOTAL,)"
    )


def writes(tree: Path) -> None:
    """The release after it: order_svc emits the new version, and fills the new field."""
    reads(tree)
    decider = tree / "order_svc" / "decider.py"
    _edit(decider, r"orders\.OrderConfirmedV1\(", "orders.OrderConfirmed(")
    _edit(decider, r"(orders\.OrderConfirmed\(.*?)total=order\.total", r"\1totals=(order.total,)")
    _edit(decider, r"(OrderPlaced\(.*?)(card_token=command\.card_token)", rf"\1\2, gift_note={GIFT_NOTE!r}")
    _edit(
        decider,
        r"status=OrderStatus\.PLACED, lines",
        f"status=OrderStatus.PLACED, gift_note={GIFT_NOTE!r}, lines",
    )


def _edit(path: Path, pattern: str, replacement: str) -> None:
    """Replace the one occurrence of a pattern."""
    text, times = re.subn(pattern, replacement, path.read_text(), count=1, flags=re.DOTALL)
    assert times == 1, f"{path.name} has no {pattern!r} any more; adjust tests/support/invented_change.py"
    path.write_text(text)
