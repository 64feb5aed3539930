"""The doctor accepts the ends to which the deciders lead an order, and no other."""

from typing import Any

import pytest

from contracts.http.inventory import ReservationStatus
from contracts.http.orders import OrderStatus
from contracts.http.payments import PaymentStatus
from journey.admin.diagnosis.promises import LEDGER, MONEY, STOCK, Views, of_order
from tests.support.explored import explored
from tests.support.messages import PLACE

# The doctor reads the services one after the other, so it accepts goods that are a step ahead or behind.
APART = {
    (OrderStatus.CONFIRMED, ReservationStatus.DISPATCHED),
    (OrderStatus.DISPATCHED, ReservationStatus.COMMITTED),
    (OrderStatus.CANCELLED, ReservationStatus.NEW),
}
JUDGED = (OrderStatus.CONFIRMED, OrderStatus.DISPATCHED, OrderStatus.CANCELLED)


def ends(kind: str) -> set[tuple[OrderStatus, str]]:
    """Status of the order and of its goods or its payment, at every end."""
    id_ = PLACE.order_id
    return {(end.state("orders", id_).status, end.state(kind, id_).status) for end in explored().ends}


def broken(status: OrderStatus, *, goods: str, payment: str) -> set[str]:
    order = {"status": str(status)}
    views = Views(order, {"status": str(goods)}, {"status": str(payment)}, ledger=None)
    return {promise for promise, _ in of_order("A", views) if promise in (STOCK, MONEY)}


def test_the_doctor_accepts_every_end_of_an_order() -> None:
    for end in explored().ends:
        id_ = PLACE.order_id
        order, goods, payment = (end.state(kind, id_) for kind in ("orders", "reservations", "payments"))
        differs = payment.status is PaymentStatus.NEEDS_RECONCILIATION  # staff have to settle it
        expected = {MONEY} if differs else set()
        assert broken(order.status, goods=goods.status, payment=payment.status) == expected


@pytest.mark.parametrize("status", JUDGED)
@pytest.mark.parametrize("goods", ReservationStatus)
def test_the_doctor_reports_goods_of_no_such_end(status: OrderStatus, goods: ReservationStatus) -> None:
    possible = (status, goods) in ends("reservations") | APART
    assert (STOCK not in broken(status, goods=goods, payment="")) == possible


@pytest.mark.parametrize("status", JUDGED)
@pytest.mark.parametrize("payment", PaymentStatus)
def test_the_doctor_reports_payments_of_no_such_end(status: OrderStatus, payment: PaymentStatus) -> None:
    possible = (status, payment) in ends("payments") and payment is not PaymentStatus.NEEDS_RECONCILIATION
    assert (MONEY not in broken(status, goods="", payment=payment)) == possible


SETTLED = [
    ({"reason": "paid", "amount": 6400}, 0, OrderStatus.CONFIRMED),
    ({"reason": "written_off", "amount": 6400}, 0, OrderStatus.DISPATCHED),
    ({"reason": "paid", "amount": 3200}, 3200, OrderStatus.CONFIRMED),
    ({"reason": "returned", "amount": 6400}, 12800, OrderStatus.CONFIRMED),
    ({"reason": "returned", "amount": 6400}, 6400, OrderStatus.CANCELLED),
    ({"reason": "released", "amount": 0}, 0, OrderStatus.CANCELLED),
]


def ledger_findings(settlement: dict[str, Any], captured: int, status: OrderStatus) -> list[str]:
    amount = {"amount_minor": settlement["amount"], "currency": "EUR"}
    settled = {"reason": settlement["reason"], "amount": amount, "reference": "BANK-1"}
    order = {"status": str(status), "total": {"amount_minor": 6400, "currency": "EUR"}}
    entry = {"key": "A:capture", "outcome": "captured", "amount": {"amount_minor": captured}}
    views = Views(order, None, {"status": "captured", "settlements": [settled]}, ledger=[entry])
    return [sentence for promise, sentence in of_order("A", views) if promise == LEDGER]


@pytest.mark.parametrize(("settlement", "captured", "status"), SETTLED)
def test_settlements_balance_the_books(
    settlement: dict[str, Any], captured: int, status: OrderStatus
) -> None:
    assert ledger_findings(settlement, captured, status) == []


@pytest.mark.parametrize(("settlement", "captured", "status"), SETTLED)
def test_a_settlement_that_does_not_balance_is_reported(
    settlement: dict[str, Any], captured: int, status: OrderStatus
) -> None:
    [sentence] = ledger_findings(settlement, captured + 1, status)
    assert f"{captured + 1} net at the provider" in sentence


def part_findings(*refunds: tuple[int, bool], net: int, status: OrderStatus) -> list[str]:
    shown = [
        {"refund_id": str(number), "amount": {"amount_minor": minor, "currency": "EUR"}, "done": done}
        for number, (minor, done) in enumerate(refunds)
    ]
    order = {"status": str(status), "total": {"amount_minor": 6400, "currency": "EUR"}}
    entry = {"key": "A:capture", "outcome": "captured", "amount": {"amount_minor": net}}
    views = Views(order, None, {"status": "captured", "refunds": shown}, ledger=[entry])
    return [sentence for promise, sentence in of_order("A", views) if promise in (LEDGER, MONEY)]


def test_refunds_of_parts_balance_the_books() -> None:
    parts = ((1400, True), (600, True))
    assert part_findings(*parts, net=4400, status=OrderStatus.DISPATCHED) == []
    [sentence] = part_findings(*parts, net=6400, status=OrderStatus.DISPATCHED)
    assert "6400 net at the provider, 4400 due" in sentence


@pytest.mark.parametrize("payment", ["captured", "refunded"])
def test_an_unclear_release_after_a_settlement_is_reported(payment: str) -> None:
    status = OrderStatus.CONFIRMED if payment == "captured" else OrderStatus.CANCELLED
    order = {"status": str(status), "total": {"amount_minor": 0, "currency": "EUR"}}
    view = {"status": payment, "hold": "unclear", "detail": "not voided within a day"}
    [sentence] = [each for promise, each in of_order("A", Views(order, None, view)) if promise == MONEY]
    assert "not voided within a day" in sentence and "journey attention settle A" in sentence
    released = Views(order, None, view | {"hold": None})
    assert not [each for promise, each in of_order("A", released) if promise == MONEY]


def test_an_unfinished_refund_of_a_part_is_reported() -> None:
    [sentence] = part_findings((1400, False), net=6400, status=OrderStatus.DISPATCHED)
    assert "a refund of 14.00 EUR is not done" in sentence
