"""Given-when-then tests of goods that come back after the dispatch: to the stock, or written off."""

from collections.abc import Mapping
from itertools import permutations
from typing import Any

import pytest

from chassis.core.decision import OutOfTurn
from contracts import inventory
from contracts.http.inventory import ReservationStatus
from contracts.values import ReturnedLine, ReturnTo
from inventory_svc.stock import Shelf, take_back
from tests.support import decision_tables
from tests.support.given_when_then import emitted, last_emitted, state_after
from tests.support.messages import (
    CANCELLED,
    CONFIRMED,
    DISPATCHED,
    GOODS_RETURNED,
    GOODS_RETURNED_AGAIN,
    KETTLE,
    MUG,
    ORDER,
    PLACED,
    PLACED_TOO_MANY,
    REFUND_ID,
    RETURNED,
)
from tests.unit.inventory_svc.decision_tables import RESERVATIONS

ON_THE_SHELF = {sku: Shelf(sku, received=10, available=10) for sku in (KETTLE, MUG)}
TO_DISPATCHED: list[Any] = [PLACED, CONFIRMED, DISPATCHED]


def shelves_after(history: list[Any]) -> Mapping[str, Shelf]:
    around: Mapping[str, Any] = decision_tables.outcome_of(
        RESERVATIONS.aggregate, history, ON_THE_SHELF
    ).around
    return around


def test_pieces_return_to_the_stock_or_are_written_off() -> None:
    """Of two mugs, one of each: dispatched = kept + returned + written off."""
    shelves = shelves_after([*TO_DISPATCHED, GOODS_RETURNED])
    assert shelves[MUG] == Shelf(MUG, received=9, available=9, sold=0)
    assert shelves[KETTLE] == Shelf(KETTLE, received=10, available=8, sold=2)


def test_the_event_names_the_refund_and_its_goods() -> None:
    assert last_emitted(RESERVATIONS, [*TO_DISPATCHED, GOODS_RETURNED]) == inventory.StockReturned(
        order_id=ORDER, refund_id=REFUND_ID, returned=RETURNED
    )
    reservation = state_after(RESERVATIONS, [*TO_DISPATCHED, GOODS_RETURNED])
    assert reservation.status is ReservationStatus.DISPATCHED
    assert [(each.refund_id, each.returned) for each in reservation.returns] == [(REFUND_ID, RETURNED)]


def test_the_goods_of_a_refund_are_booked_once() -> None:
    once = [*TO_DISPATCHED, GOODS_RETURNED]
    assert shelves_after([*once, GOODS_RETURNED]) == shelves_after(once)
    assert emitted(RESERVATIONS, [*once, GOODS_RETURNED]) == emitted(RESERVATIONS, once)


def test_two_refunds_may_arrive_in_any_order() -> None:
    piece = GOODS_RETURNED.model_copy(update={"returned": RETURNED[:1]})
    other = GOODS_RETURNED_AGAIN.model_copy(update={"returned": RETURNED[1:]})
    ends = [shelves_after([*TO_DISPATCHED, *arrival]) for arrival in permutations((piece, other))]
    assert ends[0] == ends[1] == shelves_after([*TO_DISPATCHED, GOODS_RETURNED])


@pytest.mark.parametrize("history", [[], [PLACED_TOO_MANY], [CANCELLED], [PLACED, CANCELLED]])
def test_goods_of_an_order_that_was_not_dispatched_never_return(history: list[Any]) -> None:
    """If the order is not known yet, the message is retried."""
    with pytest.raises(OutOfTurn):
        state_after(RESERVATIONS, [*history, GOODS_RETURNED])


@pytest.mark.parametrize("arrival", [*permutations((CONFIRMED, DISPATCHED, GOODS_RETURNED))])
def test_returned_goods_may_overtake_the_dispatch(arrival: tuple[Any, ...]) -> None:
    """In every order of arrival each piece is sold once and comes back once."""
    history = [PLACED, *arrival]
    assert shelves_after(history) == shelves_after([*TO_DISPATCHED, GOODS_RETURNED])
    assert sorted(emitted(RESERVATIONS, history)) == ["StockCommitted", "StockReserved", "StockReturned"]
    assert state_after(RESERVATIONS, history).status is ReservationStatus.DISPATCHED


def test_a_lost_confirmation_and_dispatch_follow_from_returned_goods() -> None:
    assert shelves_after([PLACED, GOODS_RETURNED]) == shelves_after([*TO_DISPATCHED, GOODS_RETURNED])


def test_more_pieces_than_are_sold_never_return() -> None:
    with pytest.raises(ArithmeticError):
        take_back([ReturnedLine(sku=MUG, quantity=1, to=ReturnTo.STOCK)], ON_THE_SHELF)
