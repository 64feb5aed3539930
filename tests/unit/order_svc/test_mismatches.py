"""Given-when-then tests of order_svc when the card provider's result differs from the request."""

from typing import Any

import pytest

from contracts import orders, payments
from contracts.orders import CancelReason
from contracts.payments import DeclineReason
from tests.support.given_when_then import emitted, last_emitted, state_after
from tests.support.messages import (
    AUTHORIZED,
    CANCEL,
    DISPATCH,
    MISMATCHED,
    ORDER,
    PLACE,
    RESERVED,
)
from tests.unit.order_svc.decision_tables import ORDERS

TO_CONFIRMED = [PLACE, RESERVED, AUTHORIZED]


def test_a_differing_authorization_cancels_the_order_with_a_reason() -> None:
    declined = payments.PaymentDeclined(
        order_id=ORDER, reason=DeclineReason.PROVIDER_MISMATCH, detail="asked 64.00 EUR, answered 32.00 EUR"
    )
    for history in ([PLACE, declined], [PLACE, RESERVED, declined]):
        assert last_emitted(ORDERS, history).reason is CancelReason.PAYMENT_DECLINED
        assert state_after(ORDERS, history).detail == declined.detail
        assert emitted(ORDERS, [*history, RESERVED, AUTHORIZED]) == emitted(ORDERS, history)


@pytest.mark.parametrize("before", [TO_CONFIRMED, [*TO_CONFIRMED, DISPATCH]])
def test_an_order_whose_capture_differs_needs_attention(before: list[Any]) -> None:
    alarm = last_emitted(ORDERS, [*before, MISMATCHED])
    assert isinstance(alarm, orders.OrderNeedsAttention)
    assert alarm.detail == MISMATCHED.detail == state_after(ORDERS, [*before, MISMATCHED]).detail


@pytest.mark.parametrize("before", [[PLACE], [PLACE, RESERVED], [PLACE, CANCEL], [*TO_CONFIRMED, CANCEL]])
def test_a_void_or_refund_that_differs_changes_no_order(before: list[Any]) -> None:
    assert state_after(ORDERS, [*before, MISMATCHED]) == state_after(ORDERS, before)
