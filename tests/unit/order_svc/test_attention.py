"""Given-when-then tests of orders that need attention: staff cancel them, or their payment is resolved."""

from typing import Any

import pytest

from contracts import orders
from contracts.http.orders import OrderStatus
from contracts.orders import CancelReason, StaffRefuseReason
from tests.support.given_when_then import emitted, last_emitted, state_after
from tests.support.messages import (
    AUTHORIZED,
    CANCEL,
    CANCEL_AS_STAFF,
    CUSTOMER,
    DISPATCH,
    FAILED,
    FAILED_AGAIN,
    MISMATCHED,
    ORDER,
    PLACE,
    PLACE_UNKNOWN,
    RESERVED,
    RESOLVED,
    STAFF,
)
from tests.unit.order_svc.decision_tables import ORDERS

TO_CONFIRMED: list[Any] = [PLACE, RESERVED, AUTHORIZED]
TO_DISPATCHED: list[Any] = [*TO_CONFIRMED, DISPATCH]


@pytest.mark.parametrize("failure", [FAILED, MISMATCHED])
@pytest.mark.parametrize(
    ("before", "status"),
    [
        (TO_CONFIRMED, OrderStatus.CONFIRMED),
        (TO_DISPATCHED, OrderStatus.DISPATCHED),
    ],
)
def test_a_resolved_order_goes_on_as_before(before: list[Any], status: OrderStatus, failure: Any) -> None:
    history = [*before, failure, RESOLVED]
    order = state_after(ORDERS, history)
    assert (order.status, order.detail) == (status, "")
    assert last_emitted(ORDERS, history) == orders.OrderResolved(
        order_id=ORDER, customer_id=CUSTOMER, attempt=0
    )


@pytest.mark.parametrize("failure", [FAILED, MISMATCHED])
@pytest.mark.parametrize("before", [TO_CONFIRMED, TO_DISPATCHED])
def test_a_failure_that_arrives_after_its_resolution_changes_nothing(before: list[Any], failure: Any) -> None:
    """The failure waited on the retry ladder while staff acted."""
    history = [*before, RESOLVED, failure]
    assert emitted(ORDERS, history) == [*emitted(ORDERS, before), "OrderResolved"]
    assert state_after(ORDERS, history).status is state_after(ORDERS, before).status


@pytest.mark.parametrize("before", [TO_CONFIRMED, [PLACE]])
def test_a_copy_of_a_resolution_changes_nothing(before: list[Any]) -> None:
    resolved = [*before, RESOLVED]
    assert state_after(ORDERS, [*resolved, RESOLVED]) == state_after(ORDERS, resolved)
    assert emitted(ORDERS, [*resolved, RESOLVED]) == emitted(ORDERS, resolved)


def test_a_later_attempt_that_fails_needs_attention() -> None:
    assert emitted(ORDERS, [*TO_CONFIRMED, FAILED, RESOLVED, FAILED_AGAIN])[-1] == "OrderNeedsAttention"


def test_a_resolved_order_can_be_dispatched_and_cancelled_as_others() -> None:
    assert emitted(ORDERS, [*TO_CONFIRMED, FAILED, RESOLVED, DISPATCH])[-1] == "OrderDispatched"
    assert emitted(ORDERS, [*TO_CONFIRMED, FAILED, RESOLVED, CANCEL])[-1] == "OrderCancelled"


# cancellations by staff


def test_staff_cancel_an_order_that_needs_attention() -> None:
    cancelled = last_emitted(ORDERS, [*TO_CONFIRMED, FAILED, CANCEL_AS_STAFF])
    assert cancelled == orders.OrderCancelled(
        order_id=ORDER,
        customer_id=CUSTOMER,
        reason=CancelReason.PAYMENT_DECLINED,
        after_confirmation=True,
    )


@pytest.mark.parametrize(
    ("history", "reason"),
    [
        ([], StaffRefuseReason.NEEDS_NO_ATTENTION),
        ([PLACE], StaffRefuseReason.NEEDS_NO_ATTENTION),
        (TO_CONFIRMED, StaffRefuseReason.NEEDS_NO_ATTENTION),
        ([PLACE_UNKNOWN], StaffRefuseReason.NEEDS_NO_ATTENTION),
        ([*TO_DISPATCHED, FAILED], StaffRefuseReason.ALREADY_DISPATCHED),
    ],
)
def test_other_orders_are_not_cancelled_by_staff(history: list[Any], reason: StaffRefuseReason) -> None:
    assert last_emitted(ORDERS, [*history, CANCEL_AS_STAFF]) == orders.StaffCancellationRefused(
        order_id=ORDER, staff_id=STAFF, reason=reason
    )
    assert state_after(ORDERS, [*history, CANCEL_AS_STAFF]) == state_after(ORDERS, history)


def test_a_second_cancellation_by_staff_changes_nothing() -> None:
    history = [*TO_CONFIRMED, FAILED, CANCEL_AS_STAFF]
    assert emitted(ORDERS, [*history, CANCEL_AS_STAFF]) == emitted(ORDERS, history)


# both orders of arrival: a cancellation, and a resolution


@pytest.mark.parametrize("cancellation", [CANCEL, CANCEL_AS_STAFF])
def test_a_resolution_after_the_cancellation_changes_nothing(cancellation: Any) -> None:
    history = [*TO_CONFIRMED, FAILED, cancellation, RESOLVED]
    assert emitted(ORDERS, history)[-1] == "OrderCancelled"
    assert state_after(ORDERS, history).status is OrderStatus.CANCELLED


def test_staff_do_not_cancel_what_is_resolved_by_then() -> None:
    refused = last_emitted(ORDERS, [*TO_CONFIRMED, FAILED, RESOLVED, CANCEL_AS_STAFF])
    assert refused.reason is StaffRefuseReason.NEEDS_NO_ATTENTION
