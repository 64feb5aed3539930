"""Given-when-then tests of every rule of inventory_svc's deciders."""

from itertools import permutations
from typing import Any

import pytest

from chassis.core.decision import Context, OutOfTurn
from contracts import inventory
from contracts.http.inventory import ReservationStatus
from inventory_svc.decider import recall_correction
from inventory_svc.stock import Correction, Shelf
from tests.support import decision_tables
from tests.support.given_when_then import emitted, last_emitted, state_after
from tests.support.messages import (
    CANCELLED,
    CONFIRMED,
    CORRECT,
    CORRECT_TOO_MUCH,
    CORRECT_UPWARDS,
    CORRECTION,
    DISPATCHED,
    KETTLE,
    MUG,
    PLACED,
    PLACED_TOO_MANY,
    RECEIVE,
    RESERVED,
)
from tests.unit.inventory_svc.decision_tables import CORRECTIONS, RECEIPTS, RESERVATIONS

ON_THE_SHELF = {sku: Shelf(sku, received=10, available=10) for sku in (KETTLE, MUG)}
ONE_SHORT = ON_THE_SHELF | {MUG: Shelf(MUG, received=1, available=1)}


def shelf_after(history: list[Any], sku: str = KETTLE) -> Shelf:
    shelf: Shelf = decision_tables.outcome_of(RESERVATIONS.aggregate, history, ON_THE_SHELF).around[sku]
    return shelf


def test_goods_are_held_line_by_line() -> None:
    assert emitted(RESERVATIONS, [PLACED]) == ["StockReserved"]
    assert shelf_after([PLACED]) == Shelf(KETTLE, received=10, available=8, reserved=2)
    assert shelf_after([PLACED], MUG) == Shelf(MUG, received=10, available=8, reserved=2)


def test_one_short_line_holds_nothing_and_is_named() -> None:
    rejected = last_emitted(RESERVATIONS, [PLACED], ONE_SHORT)
    assert isinstance(rejected, inventory.StockRejected)
    assert [(line.sku, line.quantity, line.available) for line in rejected.short] == [(MUG, 2, 1)]
    assert decision_tables.outcome_of(RESERVATIONS.aggregate, [PLACED], ONE_SHORT).around == ONE_SHORT


def test_every_short_line_is_named() -> None:
    rejected = last_emitted(RESERVATIONS, [PLACED], {})
    assert [line.sku for line in rejected.short] == [KETTLE, MUG]


def test_the_last_piece_goes_to_the_first_order() -> None:
    shelves: Any = {sku: Shelf(sku, received=3, available=3) for sku in (KETTLE, MUG)}
    first = decision_tables.outcome_of(RESERVATIONS.aggregate, [PLACED], shelves)
    second = decision_tables.outcome_of(RESERVATIONS.aggregate, [PLACED], first.around)
    assert [type(emitted).__name__ for emitted in (*first.emits, *second.emits)] == [
        "StockReserved",
        "StockRejected",
    ]
    assert second.around[KETTLE].available == 1


def test_a_confirmed_order_sells_what_is_held() -> None:
    assert emitted(RESERVATIONS, [PLACED, CONFIRMED]) == ["StockReserved", "StockCommitted"]
    assert shelf_after([PLACED, CONFIRMED]) == Shelf(KETTLE, received=10, available=8, sold=2)


def test_a_dispatched_order_leaves_the_picking_list() -> None:
    assert state_after(RESERVATIONS, [PLACED, CONFIRMED]).status is ReservationStatus.COMMITTED
    assert state_after(RESERVATIONS, [PLACED, CONFIRMED, DISPATCHED]).status is ReservationStatus.DISPATCHED


def test_a_dispatch_that_overtakes_the_confirmation_sells_once() -> None:
    assert emitted(RESERVATIONS, [PLACED, DISPATCHED, CONFIRMED]) == ["StockReserved", "StockCommitted"]
    assert shelf_after([PLACED, DISPATCHED, CONFIRMED]) == shelf_after([PLACED, CONFIRMED, DISPATCHED])


@pytest.mark.parametrize(("before", "restocked"), [([], False), ([CONFIRMED], True)])
def test_a_cancelled_order_gives_its_goods_back(before: list[Any], restocked: bool) -> None:
    released = last_emitted(RESERVATIONS, [PLACED, *before, CANCELLED])
    assert isinstance(released, inventory.StockReleased)
    assert released.restocked is restocked
    assert shelf_after([PLACED, *before, CANCELLED]) == ON_THE_SHELF[KETTLE]


def test_a_cancellation_that_overtakes_its_order_leaves_a_tombstone() -> None:
    assert emitted(RESERVATIONS, [CANCELLED, PLACED]) == []
    assert shelf_after([CANCELLED, PLACED]) == ON_THE_SHELF[KETTLE]


def test_a_confirmation_after_the_cancellation_sells_nothing() -> None:
    assert emitted(RESERVATIONS, [PLACED, CANCELLED, CONFIRMED]) == ["StockReserved", "StockReleased"]
    assert shelf_after([PLACED, CANCELLED, CONFIRMED]) == ON_THE_SHELF[KETTLE]


def test_an_order_without_reserved_goods_releases_none() -> None:
    assert emitted(RESERVATIONS, [PLACED_TOO_MANY, CANCELLED]) == ["StockRejected"]


@pytest.mark.parametrize("end", [[CONFIRMED, DISPATCHED], [CONFIRMED, CANCELLED], [CANCELLED]])
def test_the_number_of_pieces_is_independent_of_message_order(end: list[Any]) -> None:
    """OrderPlaced may arrive anywhere before the cancellation's effect,
    but always before the events that it causes.
    """
    for arrival in permutations([PLACED, *end]):
        if CONFIRMED in arrival and arrival.index(CONFIRMED) < arrival.index(PLACED):
            continue  # order_svc does not confirm an order whose goods are not held
        if DISPATCHED in arrival and arrival.index(DISPATCHED) < arrival.index(PLACED):
            continue
        shelf = shelf_after(list(arrival))
        sold = 2 if DISPATCHED in arrival else 0
        assert shelf == Shelf(KETTLE, received=10, available=10 - sold, sold=sold)


@pytest.mark.parametrize(
    "history",
    [[CONFIRMED], [DISPATCHED], [PLACED, CONFIRMED, DISPATCHED, CANCELLED], [PLACED, PLACED], [RESERVED]],
)
def test_events_that_order_svc_never_emits_are_out_of_turn(history: list[Any]) -> None:
    with pytest.raises(OutOfTurn):
        emitted(RESERVATIONS, history)


# receiving goods


def test_received_goods_are_on_the_shelf() -> None:
    after = decision_tables.outcome_of(RECEIPTS.aggregate, [RECEIVE], {})
    assert after.around[KETTLE] == Shelf(KETTLE, received=5, available=5)
    assert last_emitted(RECEIPTS, [RECEIVE]).quantity == 5


def test_a_repeated_receipt_counts_once() -> None:
    after = decision_tables.outcome_of(RECEIPTS.aggregate, [RECEIVE, RECEIVE], {})
    assert after.around[KETTLE].received == 5
    assert emitted(RECEIPTS, [RECEIVE, RECEIVE]) == ["StockReceived"]


def test_a_receipt_has_no_rule_for_orders() -> None:
    with pytest.raises(OutOfTurn):
        emitted(RECEIPTS, [PLACED])


# corrections


def corrected(*history: Any) -> Shelf:
    """The shelf after corrections, with ten pieces before them."""
    shelf: Shelf = decision_tables.outcome_of(CORRECTIONS.aggregate, history, ON_THE_SHELF).around[KETTLE]
    return shelf


@pytest.mark.parametrize(("correction", "pieces"), [(CORRECT, 7), (CORRECT_UPWARDS, 12)])
def test_a_correction_changes_the_available_pieces(correction: inventory.CorrectStock, pieces: int) -> None:
    assert corrected(correction) == Shelf(KETTLE, received=pieces, available=pieces)
    assert last_emitted(CORRECTIONS, [correction], ON_THE_SHELF) == inventory.StockCorrected(
        correction_id=CORRECTION, sku=KETTLE, change=correction.change, reason=correction.reason
    )


def test_a_correction_may_leave_no_piece() -> None:
    assert corrected(CORRECT.model_copy(update={"change": -10})) == Shelf(KETTLE)


def test_a_correction_never_takes_reserved_or_sold_pieces() -> None:
    shelves = {KETTLE: Shelf(KETTLE, received=10, available=2, reserved=5, sold=3)}
    outcome = decision_tables.outcome_of(CORRECTIONS.aggregate, [CORRECT], shelves)
    refused = inventory.CorrectionRefused(correction_id=CORRECTION, sku=KETTLE, change=-3, available=2)
    assert outcome.emits == (refused,)
    assert outcome.around == shelves


def test_a_correction_upwards_begins_a_shelf() -> None:
    after = decision_tables.outcome_of(CORRECTIONS.aggregate, [CORRECT_UPWARDS], {})
    assert after.around[KETTLE] == Shelf(KETTLE, received=2, available=2)


@pytest.mark.parametrize("first", [CORRECT, CORRECT_TOO_MUCH])
def test_a_correction_counts_once_and_keeps_its_result(first: inventory.CorrectStock) -> None:
    once = decision_tables.outcome_of(CORRECTIONS.aggregate, [first], ON_THE_SHELF)
    twice = decision_tables.outcome_of(CORRECTIONS.aggregate, [first, CORRECT_UPWARDS], ON_THE_SHELF)
    assert (twice.state, twice.around, twice.emits) == (once.state, once.around, once.emits)


def test_the_last_pieces_go_to_the_first_message() -> None:
    """A correction and an order, in both orders of arrival."""
    three: Any = {sku: Shelf(sku, received=3, available=3) for sku in (KETTLE, MUG)}
    damaged = decision_tables.outcome_of(CORRECTIONS.aggregate, [CORRECT], three)
    assert emitted(RESERVATIONS, [PLACED], damaged.around) == ["StockRejected"]
    ordered = decision_tables.outcome_of(RESERVATIONS.aggregate, [PLACED], three)
    assert emitted(CORRECTIONS, [CORRECT], ordered.around) == ["CorrectionRefused"]


@pytest.mark.parametrize("moved", [{"available": -1, "reserved": 1}, {"received": 1}, {"sold": 1}])
def test_a_shelf_rejects_negative_quantities(moved: dict[str, int]) -> None:
    with pytest.raises(ArithmeticError):
        Shelf(KETTLE).move(**moved)


# after the database was set back


def test_a_recalled_correction_counts_once() -> None:
    corrected_again = inventory.StockCorrected(
        correction_id=CORRECTION, sku=KETTLE, change=-3, reason=CORRECT.reason
    )
    refused = inventory.CorrectionRefused(correction_id=CORRECTION, sku=KETTLE, change=-11, available=10)
    for event, available in ((corrected_again, 7), (refused, 10)):
        shelves: Any = dict(ON_THE_SHELF)
        correction = Correction()
        for _ in range(2):
            decision = recall_correction(correction, event, Context(shelves))
            correction, shelves = decision.state, shelves | dict(decision.related)
        assert shelves[KETTLE].available == available
        assert decision.emits == ()
