"""Given-when-then tests of refunds of a part: only after the dispatch, each piece once, in both orders of
arrival.
"""

from typing import Any
from uuid import UUID

import pytest

from chassis.core.decision import Context, OutOfTurn
from contracts import orders, payments
from contracts.http.orders import RefundStatus
from contracts.orders import RefundRefuseReason
from contracts.values import Money, ReturnedLine, ReturnTo
from order_svc.decider import recall
from order_svc.refunds import REFUNDS_MAX
from tests.support.given_when_then import emitted, last_emitted, state_after
from tests.support.messages import (
    AUTHORIZED,
    CANCEL,
    DISPATCH,
    FAILED,
    FREE_PRICE_BOOK,
    GOODS_REQUESTED,
    GOODS_RETURNED,
    GOODS_RETURNED_OUTSIDE,
    KETTLE,
    MISMATCHED,
    MUG,
    ORDER,
    OTHER_REFUND_ID,
    PART,
    PART_REFUNDED,
    PLACE,
    PLACE_UNKNOWN,
    PRICE_BOOK,
    REFUND_GOODS,
    REFUND_GOODS_AGAIN,
    REFUND_ID,
    REFUND_ORDER,
    REFUND_REFUSED,
    REFUND_REQUESTED,
    REFUND_SETTLED_OUTSIDE,
    REFUND_TOO_MANY_PIECES,
    RESERVED,
    RESOLVED,
    STAFF,
)
from tests.unit.order_svc.decision_tables import ORDERS

TO_CONFIRMED: list[Any] = [PLACE, RESERVED, AUTHORIZED]
TO_DISPATCHED: list[Any] = [*TO_CONFIRMED, DISPATCH]
NOT_DISPATCHED = pytest.mark.parametrize(
    "history", [[], [PLACE], TO_CONFIRMED, [*TO_CONFIRMED, CANCEL], [PLACE_UNKNOWN], [*TO_CONFIRMED, FAILED]]
)


def line(sku: str, quantity: int, to: ReturnTo = ReturnTo.STOCK) -> ReturnedLine:
    return ReturnedLine(sku=sku, quantity=quantity, to=to)


def refunding(*returned: ReturnedLine, amount: int = 1, number: int = 1) -> orders.RefundOrder:
    return orders.RefundOrder(
        order_id=ORDER,
        refund_id=UUID(int=(7 << 76) | (2 << 62) | number),
        staff_id=STAFF,
        amount=Money(amount_minor=amount, currency="EUR"),
        returned=returned,
    )


def result_of(command: orders.RefundOrder, *, refused: bool = False) -> Any:
    if refused:
        return REFUND_REFUSED.model_copy(update={"refund_id": command.refund_id})
    return PART_REFUNDED.model_copy(update={"refund_id": command.refund_id, "amount": command.amount})


def why_refused(history: list[Any]) -> tuple[RefundRefuseReason, str]:
    refused = last_emitted(ORDERS, history)
    assert isinstance(refused, orders.RefundNotPossible), refused
    assert state_after(ORDERS, history) == state_after(ORDERS, history[:-1])
    return refused.reason, refused.detail


@pytest.mark.parametrize(
    "history", [TO_DISPATCHED, [*TO_DISPATCHED, FAILED], [*TO_DISPATCHED, FAILED, RESOLVED]]
)
def test_a_part_of_a_dispatched_order_may_be_refunded(history: list[Any]) -> None:
    assert last_emitted(ORDERS, [*history, REFUND_ORDER]) == REFUND_REQUESTED
    assert last_emitted(ORDERS, [*history, REFUND_GOODS]) == GOODS_REQUESTED
    assert state_after(ORDERS, [*history, REFUND_GOODS]).status == state_after(ORDERS, history).status


@NOT_DISPATCHED
@pytest.mark.parametrize("command", [REFUND_ORDER, REFUND_GOODS])
def test_before_the_dispatch_nothing_is_refunded_in_part(
    history: list[Any], command: orders.RefundOrder
) -> None:
    refused = orders.RefundNotPossible(order_id=ORDER, refund_id=REFUND_ID, staff_id=STAFF)
    assert refused.reason is RefundRefuseReason.NOT_DISPATCHED
    assert last_emitted(ORDERS, [*history, command]) == refused
    assert state_after(ORDERS, [*history, command]) == state_after(ORDERS, history)


@pytest.mark.parametrize("command", [REFUND_ORDER, REFUND_GOODS])
def test_a_refund_that_overtakes_the_dispatch_can_be_repeated(command: orders.RefundOrder) -> None:
    history = [*TO_CONFIRMED, command, DISPATCH, command]
    assert emitted(ORDERS, history)[-3:] == ["RefundNotPossible", "OrderDispatched", "RefundRequested"]


# goods


def test_goods_return_when_the_amount_is_refunded() -> None:
    assert last_emitted(ORDERS, [*TO_DISPATCHED, REFUND_GOODS, PART_REFUNDED]) == GOODS_RETURNED
    [refund] = state_after(ORDERS, [*TO_DISPATCHED, REFUND_GOODS, PART_REFUNDED]).refunds
    assert (refund.refund_id, refund.amount, refund.status) == (REFUND_ID, PART, RefundStatus.DONE)


def test_no_goods_return_with_an_amount_alone() -> None:
    history = [*TO_DISPATCHED, REFUND_ORDER, PART_REFUNDED]
    assert emitted(ORDERS, history)[-1] == "RefundRequested"
    assert state_after(ORDERS, history).refunds[0].status is RefundStatus.DONE


def test_nothing_returns_if_the_refund_is_refused() -> None:
    history = [*TO_DISPATCHED, REFUND_GOODS, REFUND_REFUSED]
    assert emitted(ORDERS, history)[-1] == "RefundRequested"
    assert state_after(ORDERS, history).refunds[0].status is RefundStatus.REFUSED


def test_the_events_name_the_articles_titles() -> None:
    titled = {
        sku: price.__class__(revision=1, money=price.money, title=sku.title())
        for sku, price in PRICE_BOOK.items()
    }
    requested = last_emitted(ORDERS, [*TO_DISPATCHED, REFUND_GOODS], titled)
    assert {each.title for each in requested.returned} == {MUG.title()}
    claimed = REFUND_GOODS.returned[0].model_copy(update={"title": "Gold bar"})
    command = REFUND_GOODS.model_copy(
        update={
            "returned": (claimed,),
            "amount": REFUND_ORDER.amount.model_copy(update={"amount_minor": 700}),
        }
    )
    assert last_emitted(ORDERS, [*TO_DISPATCHED, command], titled).returned[0].title == MUG.title()


@pytest.mark.parametrize(
    ("returned", "amount", "expected"),
    [
        ((line(KETTLE, 3),), 1, (RefundRefuseReason.ALREADY_RETURNED, "3 to refund, but 2 of 2 are left")),
        (
            (line(KETTLE, 2), line(KETTLE, 1, ReturnTo.WRITTEN_OFF)),
            1,
            (RefundRefuseReason.ALREADY_RETURNED, "3 to refund"),
        ),
        ((line("TEAPOT", 1),), 1, (RefundRefuseReason.NOT_IN_ORDER, "TEAPOT is not in the order")),
        (
            (line(KETTLE, 1), line(MUG, 1)),
            3_201,
            (
                RefundRefuseReason.AMOUNT_TOO_HIGH,
                "32.01 EUR is more than the price of the returned items, 32.00 EUR",
            ),
        ),
    ],
)
def test_a_refund_names_pieces_that_were_dispatched(
    returned: tuple[ReturnedLine, ...], amount: int, expected: tuple[RefundRefuseReason, str]
) -> None:
    reason, detail = why_refused([*TO_DISPATCHED, refunding(*returned, amount=amount)])
    assert reason is expected[0] and expected[1] in detail


def test_staff_may_lower_the_amount_but_not_raise_it() -> None:
    for amount in (1, 3_200):
        command = refunding(line(KETTLE, 1), line(MUG, 1), amount=amount)
        assert emitted(ORDERS, [*TO_DISPATCHED, command])[-1] == "RefundRequested"


@pytest.mark.parametrize(
    "results", [[], [PART_REFUNDED], [REFUND_SETTLED_OUTSIDE]], ids=["in progress", "done", "goods only"]
)
def test_a_piece_is_refunded_once(results: list[Any]) -> None:
    """A refund in progress counts, too."""
    first = refunding(line(KETTLE, 2, ReturnTo.WRITTEN_OFF), number=1)
    ended = (result.model_copy(update={"refund_id": first.refund_id}) for result in results)
    before = [*TO_DISPATCHED, first, *ended]
    second = refunding(line(KETTLE, 1), number=2)
    reason, detail = why_refused([*before, second])
    assert reason is RefundRefuseReason.ALREADY_RETURNED and "0 of 2 are left" in detail
    assert emitted(ORDERS, [*before, refunding(line(MUG, 2), number=3)])[-1] == "RefundRequested"


def test_a_refused_refund_leaves_its_pieces_to_another_one() -> None:
    first, second = refunding(line(KETTLE, 2), number=1), refunding(line(KETTLE, 2), number=2)
    before = [*TO_DISPATCHED, first, result_of(first, refused=True)]
    assert emitted(ORDERS, [*before, second, result_of(second)])[-1] == "GoodsReturned"


def test_an_amount_alone_holds_no_pieces() -> None:
    amount = refunding(number=1)
    assert (
        emitted(ORDERS, [*TO_DISPATCHED, amount, refunding(line(KETTLE, 2), number=2)])[-1]
        == "RefundRequested"
    )


def test_free_pieces_have_no_price_to_refund() -> None:
    history = [*TO_DISPATCHED, refunding(line(KETTLE, 1), amount=1)]
    assert last_emitted(ORDERS, history, FREE_PRICE_BOOK).reason is RefundRefuseReason.AMOUNT_TOO_HIGH


# copies, and messages that cross


@pytest.mark.parametrize(
    "result",
    [[], [PART_REFUNDED], [REFUND_REFUSED], [REFUND_SETTLED_OUTSIDE]],
    ids=["open", "done", "refused", "goods only"],
)
@pytest.mark.parametrize(
    "again", [REFUND_GOODS, REFUND_ORDER, REFUND_TOO_MANY_PIECES.model_copy(update={"refund_id": REFUND_ID})]
)
def test_a_refund_id_counts_once(result: list[Any], again: orders.RefundOrder) -> None:
    """Whatever it asks for: a form that is sent again may have been changed."""
    history = [*TO_DISPATCHED, REFUND_GOODS, *result]
    assert emitted(ORDERS, [*history, again]) == emitted(ORDERS, history)
    assert state_after(ORDERS, [*history, again]) == state_after(ORDERS, history)


@pytest.mark.parametrize("first", [PART_REFUNDED, REFUND_REFUSED, REFUND_SETTLED_OUTSIDE])
@pytest.mark.parametrize("late", [PART_REFUNDED, REFUND_REFUSED, REFUND_SETTLED_OUTSIDE])
def test_goods_return_once_whatever_arrives_later(first: Any, late: Any) -> None:
    names = emitted(ORDERS, [*TO_DISPATCHED, REFUND_GOODS, first, late])
    assert names.count("GoodsReturned") == (PART_REFUNDED in (first, late) or first is REFUND_SETTLED_OUTSIDE)


def test_two_refunds_may_be_finished_in_any_order() -> None:
    commands = refunding(line(KETTLE, 1), number=1), refunding(line(KETTLE, 1), number=2)
    one, other = map(result_of, commands)
    ends = [
        state_after(ORDERS, [*TO_DISPATCHED, *commands, *results]) for results in ([one, other], [other, one])
    ]
    assert ends[0] == ends[1]
    assert [refund.status for refund in ends[0].refunds] == [RefundStatus.DONE] * 2


def test_a_refund_may_be_refused_while_another_is_in_progress() -> None:
    """Both orders of arrival of a result and of the next command."""
    for history in (
        [REFUND_GOODS, REFUND_GOODS_AGAIN, REFUND_REFUSED, REFUND_GOODS_AGAIN],
        [REFUND_GOODS, REFUND_REFUSED, REFUND_GOODS_AGAIN, REFUND_GOODS_AGAIN],
    ):
        order = state_after(ORDERS, [*TO_DISPATCHED, *history])
        known = {refund.refund_id: refund.status for refund in order.refunds}
        assert known == {REFUND_ID: RefundStatus.REFUSED, OTHER_REFUND_ID: RefundStatus.REQUESTED}


def test_a_result_may_arrive_while_the_order_needs_attention() -> None:
    for history in ([MISMATCHED, PART_REFUNDED], [PART_REFUNDED, MISMATCHED]):
        names = emitted(ORDERS, [*TO_DISPATCHED, REFUND_GOODS, *history])
        assert {"GoodsReturned", "OrderNeedsAttention"} <= set(names)


@pytest.mark.parametrize("result", [PART_REFUNDED, REFUND_REFUSED, REFUND_SETTLED_OUTSIDE])
def test_a_result_of_an_unknown_refund_waits(result: payments.PaymentPartRefunded) -> None:
    """order_svc's database was set back: its own event makes the refund known again."""
    with pytest.raises(OutOfTurn):
        state_after(ORDERS, [*TO_DISPATCHED, result])
    order = recall(state_after(ORDERS, TO_DISPATCHED), GOODS_REQUESTED, Context()).state
    assert order == state_after(ORDERS, [*TO_DISPATCHED, REFUND_GOODS])
    assert recall(order, GOODS_REQUESTED, Context()).state == order
    assert recall(order, GOODS_RETURNED, Context()).state == state_after(
        ORDERS, [*TO_DISPATCHED, REFUND_GOODS, PART_REFUNDED]
    )
    outside = recall(order, GOODS_RETURNED_OUTSIDE, Context()).state
    assert outside == state_after(ORDERS, [*TO_DISPATCHED, REFUND_GOODS, REFUND_SETTLED_OUTSIDE])


def test_an_order_has_a_limited_number_of_refunds() -> None:
    """Refused ones make room for others."""
    commands = [refunding(number=number) for number in range(1, REFUNDS_MAX + 3)]
    full = [*TO_DISPATCHED, *commands[:REFUNDS_MAX]]
    assert why_refused([*full, commands[REFUNDS_MAX]])[0] is RefundRefuseReason.TOO_MANY_REFUNDS
    room = [*full, result_of(commands[3], refused=True), commands[REFUNDS_MAX]]
    assert len(state_after(ORDERS, room).refunds) == REFUNDS_MAX
    assert why_refused([*room, commands[-1]])[0] is RefundRefuseReason.TOO_MANY_REFUNDS
