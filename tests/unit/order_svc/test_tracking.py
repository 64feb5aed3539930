"""The carrier's tracking reference, before and after the dispatch."""

from typing import Any

import pytest

from contracts import orders
from tests.support.given_when_then import emitted, last_emitted, state_after
from tests.support.messages import (
    AUTHORIZED,
    CANCEL,
    CUSTOMER,
    DISPATCH,
    FAILED,
    ORDER,
    PLACE,
    PLACE_UNKNOWN,
    RESERVED,
    TRACK,
    TRACK_AGAIN,
)
from tests.unit.order_svc.decision_tables import ORDERS

TO_CONFIRMED = [PLACE, RESERVED, AUTHORIZED]


@pytest.mark.parametrize("warehouse", [[DISPATCH, TRACK], [TRACK, DISPATCH]])
def test_a_tracking_reference_is_published_in_any_order(warehouse: list[Any]) -> None:
    history = [*TO_CONFIRMED, *warehouse]
    assert sorted(emitted(ORDERS, history)[2:]) == ["OrderDispatched", "TrackingRecorded"]
    assert state_after(ORDERS, history).tracking == TRACK.tracking


def test_a_known_reference_is_published_before_the_dispatch() -> None:
    """notification_svc handles events in this order, and mails about the dispatch."""
    assert emitted(ORDERS, [*TO_CONFIRMED, TRACK, DISPATCH])[2:] == ["TrackingRecorded", "OrderDispatched"]
    recorded = orders.TrackingRecorded(order_id=ORDER, customer_id=CUSTOMER, tracking=TRACK.tracking)
    assert last_emitted(ORDERS, [*TO_CONFIRMED, DISPATCH, TRACK]) == recorded


def test_a_later_tracking_reference_replaces_the_first() -> None:
    history = [*TO_CONFIRMED, DISPATCH, TRACK, TRACK, TRACK_AGAIN]
    assert emitted(ORDERS, history)[3:] == ["TrackingRecorded", "TrackingRecorded"]
    assert last_emitted(ORDERS, history).tracking == TRACK_AGAIN.tracking


def test_a_dispatched_order_is_tracked_although_its_capture_failed() -> None:
    assert emitted(ORDERS, [*TO_CONFIRMED, DISPATCH, FAILED, TRACK])[-1] == "TrackingRecorded"


@pytest.mark.parametrize("history", [[], [PLACE], [PLACE, CANCEL], [PLACE_UNKNOWN], [*TO_CONFIRMED, FAILED]])
def test_a_tracking_reference_needs_a_confirmed_order(history: list[Any]) -> None:
    assert last_emitted(ORDERS, [*history, TRACK]) == orders.TrackingRefused(order_id=ORDER)
    assert state_after(ORDERS, [*history, TRACK]) == state_after(ORDERS, history)


def test_a_cancelled_order_publishes_no_tracking_reference() -> None:
    assert emitted(ORDERS, [*TO_CONFIRMED, TRACK, CANCEL])[2:] == ["OrderCancelled"]
