"""Given-when-then tests of refunds of a part: only after the dispatch, in both orders of arrival."""

from typing import Any

import pytest

from contracts import orders
from tests.support.given_when_then import emitted, last_emitted, state_after
from tests.support.messages import (
    AUTHORIZED,
    CANCEL,
    DISPATCH,
    FAILED,
    ORDER,
    PLACE,
    PLACE_UNKNOWN,
    REFUND_ID,
    REFUND_ORDER,
    REFUND_REQUESTED,
    RESERVED,
    RESOLVED,
    STAFF,
)
from tests.unit.order_svc.decision_tables import ORDERS

TO_CONFIRMED: list[Any] = [PLACE, RESERVED, AUTHORIZED]
TO_DISPATCHED: list[Any] = [*TO_CONFIRMED, DISPATCH]


@pytest.mark.parametrize(
    "history", [TO_DISPATCHED, [*TO_DISPATCHED, FAILED], [*TO_DISPATCHED, FAILED, RESOLVED]]
)
def test_a_part_of_a_dispatched_order_may_be_refunded(history: list[Any]) -> None:
    assert last_emitted(ORDERS, [*history, REFUND_ORDER]) == REFUND_REQUESTED
    assert state_after(ORDERS, [*history, REFUND_ORDER]) == state_after(ORDERS, history)


@pytest.mark.parametrize(
    "history", [[], [PLACE], TO_CONFIRMED, [*TO_CONFIRMED, CANCEL], [PLACE_UNKNOWN], [*TO_CONFIRMED, FAILED]]
)
def test_before_the_dispatch_nothing_is_refunded_in_part(history: list[Any]) -> None:
    refused = orders.RefundNotPossible(order_id=ORDER, refund_id=REFUND_ID, staff_id=STAFF)
    assert last_emitted(ORDERS, [*history, REFUND_ORDER]) == refused
    assert state_after(ORDERS, [*history, REFUND_ORDER]) == state_after(ORDERS, history)


def test_a_refund_that_overtakes_the_dispatch_can_be_repeated() -> None:
    history = [*TO_CONFIRMED, REFUND_ORDER, DISPATCH, REFUND_ORDER]
    assert emitted(ORDERS, history)[-3:] == ["RefundNotPossible", "OrderDispatched", "RefundRequested"]
