"""The refunds of one order with the goods that came back, in the books of three services. Pure functions."""

from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any

from contracts.http.orders import BOOKED, RefundStatus
from contracts.http.payments import PaymentStatus
from contracts.values import Money

Json = dict[str, Any]
# Whether payment_svc has carried out a refund that order_svc shows so. It has none that is `goods_only`.
_IS_DONE = {RefundStatus.REQUESTED: False, RefundStatus.DONE: True}


def returned_pieces(order: Json) -> Counter[str]:
    """The pieces of each article that are no longer sold: back in the stock, or written off."""
    return by_sku(line for refund in _booked(order) for line in refund["returned"])


def goods_only(order: Json) -> list[Json]:
    """Its refunds of which staff give the money back outside. No book says whether they have."""
    return [refund for refund in order.get("refunds", ()) if _is_goods_only(refund)]


def of_goods(order_id: str, order: Json, reservation: Json | None) -> Iterator[str]:
    """How order_svc and inventory_svc disagree about the goods that came back."""
    due = {refund["refund_id"]: _destinations(refund) for refund in _booked(order) if refund["returned"]}
    booked = {each["refund_id"]: _destinations(each) for each in (reservation or {}).get("returns", ())}
    for refund_id in sorted(due.keys() | booked.keys()):
        expected, found = due.get(refund_id), booked.get(refund_id)
        if expected != found:
            yield (
                f"order {order_id}, refund {refund_id}: {_named(expected)} came back, "
                f"but inventory_svc has booked {_named(found)}"
            )
    if not booked:
        return
    dispatched, returned = by_sku((reservation or order)["lines"]), Counter[str]()
    for (sku, _), count in (each for goods in booked.values() for each in goods.items()):
        returned[sku] += count
    for sku, count in sorted(returned.items()):
        if count > dispatched[sku]:
            yield f"order {order_id}: {count} of {sku} came back, but {dispatched[sku]} were dispatched"


def of_money(order_id: str, order: Json, payment: Json) -> Iterator[str]:
    """How order_svc and payment_svc disagree about refunds of parts.

    An order of an earlier version has none. While the payment needs reconciliation, staff have to decide.
    """
    if "refunds" not in order or payment.get("status") == PaymentStatus.NEEDS_RECONCILIATION:
        return
    granted = {refund["refund_id"]: refund for refund in payment.get("refunds", ())}
    known = {each["refund_id"]: each for each in order["refunds"] if each["status"] != RefundStatus.REFUSED}
    for refund_id in sorted(granted.keys() | known.keys()):
        ours, theirs = known.get(refund_id), granted.get(refund_id)
        if ours is None:
            amount = _amount(granted[refund_id])
            yield f"order {order_id}: payment_svc refunds {amount} ({refund_id}), unknown to order_svc"
        elif theirs is None and _is_goods_only(ours):
            if not payment.get("settlements"):
                yield (
                    f"order {order_id}: order_svc has the refund {refund_id} of {_amount(ours)} as settled "
                    "outside, but its payment is not"
                )
        elif theirs is None:
            yield (
                f"order {order_id}: order_svc has the refund {refund_id} of {_amount(ours)} as "
                f"{ours['status']}, unknown to payment_svc"
            )
        elif ours["amount"] != theirs["amount"] or _IS_DONE.get(ours["status"]) is not theirs["done"]:
            done = "done" if theirs["done"] else "not done"
            yield (
                f"order {order_id}: order_svc has the refund {refund_id} of {_amount(ours)} as "
                f"{ours['status']}, payment_svc {_amount(theirs)} as {done}"
            )


def _booked(order: Json) -> list[Json]:
    return [refund for refund in order.get("refunds", ()) if refund["status"] in BOOKED]


def _is_goods_only(refund: Json) -> bool:
    return bool(refund["status"] == RefundStatus.GOODS_ONLY)


def by_sku(lines: Iterable[Json]) -> Counter[str]:
    """The pieces of each article in these lines."""
    pieces: Counter[str] = Counter()
    for line in lines:
        pieces[line["sku"]] += line["quantity"]
    return pieces


def _destinations(refund: Json) -> Counter[tuple[str, str]]:
    goods: Counter[tuple[str, str]] = Counter()
    for line in refund["returned"]:
        goods[line["sku"], line["to"]] += line["quantity"]
    return goods


def _named(goods: Counter[tuple[str, str]] | None) -> str:
    named = (f"{count} × {sku} ({to})" for (sku, to), count in sorted((goods or {}).items()))
    return ", ".join(named) or "nothing"


def _amount(refund: Json) -> Money:
    return Money.model_validate(refund["amount"])
