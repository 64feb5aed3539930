"""The doctor compares the refunds of an order, with the goods that came back, in three services' books."""

from typing import Any

import pytest

from contracts.http.orders import OrderStatus
from journey.admin.diagnosis.promises import MONEY, STOCK, Pieces, Views, of_order, of_sold

Json = dict[str, Any]
EUR_14 = {"amount_minor": 1400, "currency": "EUR"}
LINES = [{"sku": "MUG", "quantity": 2}]
TO_STOCK = {"sku": "MUG", "quantity": 1, "to": "stock", "title": None}
WRITTEN_OFF = TO_STOCK | {"to": "written_off"}


def refund(*returned: Json, id_: str = "R", status: str = "done") -> Json:
    return {"refund_id": id_, "amount": EUR_14, "returned": [*returned], "status": status}


def booked(*returned: Json, id_: str = "R") -> Json:
    return {"refund_id": id_, "returned": [*returned]}


def granted(*, id_: str = "R", done: bool = True, **other: Any) -> Json:
    return {"refund_id": id_, "amount": EUR_14, "done": done} | other


def views(refunds: list[Json], returns: list[Json], grants: list[Json], **payment: Any) -> Views:
    order = {
        "status": str(OrderStatus.DISPATCHED),
        "total": {"amount_minor": 6400, "currency": "EUR"},
        "lines": LINES,
        "refunds": refunds,
    }
    reservation = {"status": "dispatched", "lines": LINES, "returns": returns}
    return Views(order, reservation, {"status": "captured", "refunds": grants} | payment, ledger=None)


def findings(promise: str, *given: Any, **named: Any) -> list[str]:
    return [each for about, each in of_order("A", views(*given, **named)) if about == promise]


@pytest.mark.parametrize(
    ("refunds", "returns"),
    [
        ([], []),
        ([refund()], []),
        ([refund(TO_STOCK, WRITTEN_OFF)], [booked(WRITTEN_OFF, TO_STOCK)]),
        ([refund(TO_STOCK), refund(WRITTEN_OFF, id_="S")], [booked(WRITTEN_OFF, id_="S"), booked(TO_STOCK)]),
        ([refund(TO_STOCK, status="refused")], []),
    ],
    ids=["none", "an amount", "both destinations", "two refunds", "refused"],
)
def test_books_that_agree_are_not_reported(refunds: list[Json], returns: list[Json]) -> None:
    grants = [granted(id_=each["refund_id"]) for each in refunds if each["status"] == "done"]
    assert findings(STOCK, refunds, returns, grants) == []
    assert findings(MONEY, refunds, returns, grants) == []


@pytest.mark.parametrize(
    ("refunds", "returns", "sentence"),
    [
        ([refund(TO_STOCK)], [], "1 × MUG (stock) came back, but inventory_svc has booked nothing"),
        ([], [booked(TO_STOCK)], "nothing came back, but inventory_svc has booked 1 × MUG (stock)"),
        ([refund(TO_STOCK)], [booked(WRITTEN_OFF)], "has booked 1 × MUG (written_off)"),
        ([refund(TO_STOCK)], [booked(TO_STOCK, TO_STOCK)], "has booked 2 × MUG (stock)"),
        ([refund(TO_STOCK, status="requested")], [booked(TO_STOCK)], "nothing came back"),
        ([refund(TO_STOCK, status="refused")], [booked(TO_STOCK)], "nothing came back"),
    ],
)
def test_goods_that_differ_are_reported(refunds: list[Json], returns: list[Json], sentence: str) -> None:
    [found] = findings(STOCK, refunds, returns, [])
    assert found.startswith("order A, refund R: ") and sentence in found


def test_more_pieces_than_were_dispatched_are_reported() -> None:
    goods = [TO_STOCK, TO_STOCK, WRITTEN_OFF]
    [found] = findings(STOCK, [refund(*goods)], [booked(*goods)], [granted()])
    assert found == "order A: 3 of MUG came back, but 2 were dispatched"


@pytest.mark.parametrize(
    ("refunds", "grants", "sentence"),
    [
        ([], [granted()], "payment_svc refunds 14.00 EUR (R), unknown to order_svc"),
        ([refund(status="refused")], [granted()], "unknown to order_svc"),
        ([refund()], [], "as done, unknown to payment_svc"),
        ([refund(status="requested")], [], "as requested, unknown to payment_svc"),
        ([refund(status="requested")], [granted()], "as requested, payment_svc 14.00 EUR as done"),
        ([refund()], [granted(amount=EUR_14 | {"amount_minor": 1})], "payment_svc 0.01 EUR as done"),
    ],
)
def test_amounts_that_differ_are_reported(refunds: list[Json], grants: list[Json], sentence: str) -> None:
    [found] = findings(MONEY, refunds, [], grants)
    assert sentence in found


OUTSIDE = refund(TO_STOCK, status="goods_only")
SETTLEMENTS = [{"reason": "paid", "amount": EUR_14, "reference": "BANK-1"}]


def test_goods_only_are_booked_after_a_settlement() -> None:
    assert findings(STOCK, [OUTSIDE], [booked(TO_STOCK)], [], settlements=SETTLEMENTS) == []
    assert findings(MONEY, [OUTSIDE], [booked(TO_STOCK)], [], settlements=SETTLEMENTS) == []
    [found] = findings(STOCK, [OUTSIDE], [], [], settlements=SETTLEMENTS)
    assert "1 × MUG (stock) came back, but inventory_svc has booked nothing" in found


@pytest.mark.parametrize("done", [True, False])
def test_money_that_moved_for_goods_only_is_reported(done: bool) -> None:
    found = findings(MONEY, [OUTSIDE], [], [granted(done=done)], settlements=SETTLEMENTS)
    assert any("as goods_only, payment_svc 14.00 EUR" in each for each in found)


def test_goods_only_without_a_settlement_is_reported() -> None:
    [found] = findings(MONEY, [OUTSIDE], [], [])
    assert "the refund R of 14.00 EUR as settled outside, but its payment is not" in found


def test_an_unfinished_refund_is_reported_once() -> None:
    [found] = findings(MONEY, [refund(status="requested")], [], [granted(done=False)])
    assert "is not done" in found


def test_staff_decide_about_an_unclear_refund_first() -> None:
    [found] = findings(MONEY, [refund(status="requested")], [], [granted()], status="needs_reconciliation")
    assert "needs reconciliation" in found


@pytest.mark.parametrize(("status", "sold"), [("done", 1), ("requested", 2), ("refused", 2)])
def test_pieces_that_came_back_are_sold_no_longer(status: str, sold: int) -> None:
    pieces = Pieces()
    pieces.count(views([refund(TO_STOCK, status=status)], [], []))
    assert not [*of_sold({"sku": "MUG", "sold": sold}, pieces)]
    [(promise, sentence)] = of_sold({"sku": "MUG", "sold": sold + 1}, pieces)
    assert promise == STOCK and f"{sold + 1} sold, but confirmed orders took {sold}" in sentence


def test_services_of_an_earlier_version_show_no_refunds() -> None:
    """An order_svc of release 0.1.0 may respond while payment_svc is newer."""
    seen = views([], [], [granted()])
    assert seen.order is not None and seen.reservation is not None
    del seen.order["refunds"], seen.reservation["returns"]
    assert not [each for promise, each in of_order("A", seen) if promise in (MONEY, STOCK)]
