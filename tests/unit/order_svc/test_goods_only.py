"""Given-when-then tests of refunds whose payment was settled outside: goods return, and no money moves."""

from typing import Any

import pytest

from contracts.http.orders import RefundStatus
from tests.support.given_when_then import emitted, last_emitted, state_after
from tests.support.messages import (
    FAILED,
    GOODS_RETURNED_OUTSIDE,
    OTHER_REFUND_ID,
    PART,
    PART_REFUNDED,
    REFUND_GOODS,
    REFUND_GOODS_AGAIN,
    REFUND_ORDER,
    REFUND_REFUSED,
    REFUND_SETTLED_OUTSIDE,
    RESOLVED,
)
from tests.unit.order_svc.decision_tables import ORDERS
from tests.unit.order_svc.test_refunds import TO_DISPATCHED


def test_goods_of_a_settled_payment_return_without_money() -> None:
    history = [*TO_DISPATCHED, REFUND_GOODS, REFUND_SETTLED_OUTSIDE]
    assert last_emitted(ORDERS, history) == GOODS_RETURNED_OUTSIDE
    [refund] = state_after(ORDERS, history).refunds
    assert (refund.amount, refund.status) == (PART, RefundStatus.GOODS_ONLY)


def test_an_amount_of_a_settled_payment_stays_refused() -> None:
    history = [*TO_DISPATCHED, REFUND_ORDER, REFUND_SETTLED_OUTSIDE]
    assert emitted(ORDERS, history)[-1] == "RefundRequested"
    assert state_after(ORDERS, history).refunds[0].status is RefundStatus.REFUSED


def test_goods_return_by_a_new_refund_after_the_settlement() -> None:
    """Staff send a new refund, if payment_svc has refused the one before the settlement."""
    before = [*TO_DISPATCHED, FAILED, REFUND_GOODS_AGAIN]
    refused = REFUND_REFUSED.model_copy(update={"refund_id": OTHER_REFUND_ID})
    for history in ([refused, RESOLVED, REFUND_GOODS], [refused, REFUND_GOODS, RESOLVED]):
        names = emitted(ORDERS, [*before, *history, REFUND_SETTLED_OUTSIDE])
        assert names.count("GoodsReturned") == 1 and names[-1] == "GoodsReturned"


def test_a_refused_refund_stays_refused_after_a_settlement() -> None:
    """Another refund may be for its pieces by then."""
    refused = [*TO_DISPATCHED, REFUND_GOODS, REFUND_REFUSED, REFUND_GOODS_AGAIN]
    assert state_after(ORDERS, [*refused, REFUND_SETTLED_OUTSIDE]) == state_after(ORDERS, refused)


@pytest.mark.parametrize("message", [PART_REFUNDED, REFUND_SETTLED_OUTSIDE])
def test_a_refund_of_which_money_moved_is_done(message: Any) -> None:
    """Whatever payment_svc said before or after it."""
    other = REFUND_SETTLED_OUTSIDE if message is PART_REFUNDED else PART_REFUNDED
    [refund] = state_after(ORDERS, [*TO_DISPATCHED, REFUND_GOODS, message, other]).refunds
    assert refund.status is RefundStatus.DONE
