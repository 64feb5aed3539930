"""The doctor accepts the ends to which the deciders lead an order, and no other."""

import pytest

from contracts.http.inventory import ReservationStatus
from contracts.http.orders import OrderStatus
from journey.admin.diagnosis.promises import MONEY, STOCK, Views, of_order
from payment_svc.payment import PaymentStatus
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
