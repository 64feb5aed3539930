"""The money of one order: its payment, the provider's ledger, and settlements outside. Pure functions."""

from collections import Counter
from collections.abc import Iterator, Sequence, Set
from typing import Any

from contracts.http.orders import OrderStatus
from contracts.http.payments import Hold, PaymentStatus
from contracts.payments import Settlement
from contracts.values import Money

Json = dict[str, Any]
CONFIRMED: Set[str] = frozenset({OrderStatus.CONFIRMED, OrderStatus.DISPATCHED})
CANCELLED: Set[str] = frozenset({OrderStatus.CANCELLED, OrderStatus.REJECTED})
_UNDONE: Set[str] = frozenset(
    {"", PaymentStatus.DROPPED, PaymentStatus.DECLINED, PaymentStatus.VOIDED, PaymentStatus.REFUNDED}
)
_CAPTURED: Set[str] = frozenset({PaymentStatus.CAPTURED})
# What an order of each status may have once it is at rest; "" if payment_svc does not know the order, because
# it was rejected, or cancelled before it was placed. A test compares it with the deciders.
_PAYMENTS = dict.fromkeys(CONFIRMED, _CAPTURED) | dict.fromkeys(CANCELLED, _UNDONE)
_MOVES = {"captured": 1, "refunded": -1}


def of_payment(order_id: str, status: str, view: Json) -> Iterator[str]:
    """How the payment of an order at rest disagrees with its status."""
    payment = str(view.get("status", ""))
    if payment == PaymentStatus.NEEDS_RECONCILIATION:
        yield (
            f"order {order_id} is {status}, and its payment needs reconciliation: {view.get('detail', '')}; "
            f"compare it with the card provider's books, then `journey attention settle {order_id}`"
        )
        return
    if view.get("hold") == Hold.UNCLEAR:
        yield (
            f"order {order_id}: its payment is settled, but the release of the card is unclear: "
            f"{view.get('detail', '')}; compare it with the card provider's books, then "
            f"`journey attention settle {order_id} --reason released`"
        )
    for refund in view.get("refunds", ()):
        if not refund["done"]:
            yield f"order {order_id}: a refund of {Money.model_validate(refund['amount'])} is not done"
    if payment in _PAYMENTS.get(status, {payment}):
        return
    if status in CONFIRMED:
        yield f"order {order_id} is {status}, its payment is {payment or 'unknown'}"
    else:
        yield f"order {order_id} is {status}, but its payment is {payment}"


def _outside(payment: Json) -> int:
    """What the settlements add to the money that the shop has for an order, in minor units."""
    settlements = map(Settlement.model_validate, payment.get("settlements", ()))
    return sum(settlement.balance_minor for settlement in settlements)


def _refunded(payment: Json) -> int:
    """The sum of the parts that are refunded, in minor units."""
    return sum(refund["amount"]["amount_minor"] for refund in payment.get("refunds", ()) if refund["done"])


def of_ledger(order_id: str, order: Json, payment: Json | None, entries: Sequence[Json]) -> Iterator[str]:
    """How the card provider's entries, with what was settled outside, disagree with what is due.

    `payment`: None if it has expired. Its settlements and refunds are unknown then, and any sum up to the
    total may be due.
    """
    for key, times in Counter(entry["key"] for entry in entries).items():
        if times > 1:
            yield f"{key} is in the ledger {times} times"
    net = sum(entry["amount"]["amount_minor"] * _MOVES.get(entry["outcome"], 0) for entry in entries)
    if payment is None:
        total = order["total"]["amount_minor"]
        if not 0 <= net <= total:
            yield f"order {order_id} is {order['status']}: {net} net at the provider, its total is {total}"
        return
    outside = _outside(payment)
    due = order["total"]["amount_minor"] - _refunded(payment) if order["status"] in CONFIRMED else 0
    if order["status"] != OrderStatus.NEEDS_ATTENTION and net + outside != due:
        settled = f", {outside} settled outside" if outside else ""
        yield f"order {order_id} is {order['status']}: {net} net at the provider{settled}, {due} due"
