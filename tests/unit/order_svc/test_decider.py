"""Given-when-then tests of every rule of order_svc's decider."""

from dataclasses import replace
from typing import Any

import pytest

from chassis.core.codec import Codec
from chassis.core.decision import Context, OutOfTurn
from contracts import orders
from contracts.orders import CancelReason, RefuseReason, RejectReason
from contracts.values import AMOUNT_MAX, Money, OrderLine
from order_svc.decider import decide
from order_svc.order import Order
from order_svc.price import Price
from tests.support.given_when_then import emitted, last_emitted, state_after
from tests.support.messages import (
    AUTHORIZED,
    CANCEL,
    CANCEL_BY_STRANGER,
    DEADLINE,
    DECLINED,
    DISPATCH,
    FAILED,
    KETTLE,
    KETTLE_PRICE,
    MUG,
    OTHER_CUSTOMER,
    OUT_OF_STOCK,
    PLACE,
    PLACE_OTHER_GOODS,
    PLACE_UNKNOWN,
    PRICE_BOOK,
    RESERVED,
    TOTAL,
)
from tests.unit.order_svc.decision_tables import ORDERS

TO_CONFIRMED = [PLACE, RESERVED, AUTHORIZED]


def asked(**changes: Any) -> orders.PlaceOrder:
    return orders.PlaceOrder.model_validate(PLACE.model_dump() | changes)


# placing an order


def test_an_order_is_placed_with_price_book_prices() -> None:
    placed = last_emitted(ORDERS, [PLACE])
    assert isinstance(placed, orders.OrderPlaced)
    assert placed.total == TOTAL
    assert [line.price for line in placed.lines] == [PRICE_BOOK[KETTLE].money, PRICE_BOOK[MUG].money]


def test_an_order_keeps_the_titles_of_its_placement() -> None:
    book = {KETTLE: replace(PRICE_BOOK[KETTLE], title="Kettle, blue", title_revision=1), MUG: PRICE_BOOK[MUG]}
    placed = decide(Order(), PLACE, Context(book))
    [news] = placed.emits
    assert isinstance(news, orders.OrderPlaced)
    assert [line.title for line in news.lines] == ["Kettle, blue", None]
    assert placed.state.lines == news.lines
    for later in (
        Price(revision=3, title="Samovar", money=KETTLE_PRICE),
        Price(revision=4, title="Kettle, blue"),
    ):
        assert decide(placed.state, PLACE, Context(book | {KETTLE: later})).state.lines == news.lines


CODEC = Codec(Order)


def test_an_order_of_an_older_version_is_read_without_titles() -> None:
    stored = CODEC.dump(state_after(ORDERS, [PLACE]))
    for line in stored["lines"]:
        del line["title"]
    assert CODEC.load(stored) == state_after(ORDERS, [PLACE])


def test_the_same_order_sent_again_is_one_order() -> None:
    assert emitted(ORDERS, [PLACE, PLACE]) == ["OrderPlaced"]
    assert emitted(ORDERS, [*TO_CONFIRMED, PLACE])[-1] == "OrderConfirmed"


def test_another_order_with_the_same_id_is_rejected() -> None:
    assert emitted(ORDERS, [PLACE, PLACE_OTHER_GOODS]) == ["OrderPlaced", "PlacementRefused"]
    assert state_after(ORDERS, [PLACE, PLACE_OTHER_GOODS]) == state_after(ORDERS, [PLACE])


def test_a_foreign_order_under_a_used_id_is_refused() -> None:
    theirs = asked(customer_id=OTHER_CUSTOMER)
    assert emitted(ORDERS, [PLACE, theirs]) == ["OrderPlaced", "PlacementRefused"]
    assert emitted(ORDERS, [PLACE_UNKNOWN, theirs]) == ["OrderRejected", "PlacementRefused"]


def test_duplicate_lines_become_one() -> None:
    line = OrderLine(sku=KETTLE, quantity=2)
    placed = last_emitted(ORDERS, [asked(lines=[line, line])])
    assert [(line.sku, line.quantity) for line in placed.lines] == [(KETTLE, 4)]


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"lines": [{"sku": "NO-SUCH-THING", "quantity": 1}]}, RejectReason.UNKNOWN_SKU),
        ({"lines": [{"sku": "GONE", "quantity": 1}]}, RejectReason.WITHDRAWN),
        ({"lines": [{"sku": KETTLE, "quantity": 60}] * 2}, RejectReason.QUANTITY_TOO_LARGE),
        ({"lines": [{"sku": "PRICELESS", "quantity": 2}]}, RejectReason.QUANTITY_TOO_LARGE),
        (
            {"lines": [{"sku": KETTLE, "quantity": 1}, {"sku": "ABROAD", "quantity": 1}]},
            RejectReason.MIXED_CURRENCY,
        ),
        ({"total_seen": {"amount_minor": 6_399, "currency": "EUR"}}, RejectReason.TOTAL_CHANGED),
        ({"total_seen": {"amount_minor": 6_400, "currency": "USD"}}, RejectReason.TOTAL_CHANGED),
    ],
    ids=[
        "unknown",
        "withdrawn",
        "too many",
        "too dear for any order",
        "two currencies",
        "new price",
        "other currency",
    ],
)
def test_an_unpriceable_order_is_rejected_with_the_reason(
    changes: dict[str, Any], reason: RejectReason
) -> None:
    book = PRICE_BOOK | {
        "GONE": Price(revision=2),
        "ABROAD": Price(revision=1, money=Money(amount_minor=100, currency="USD")),
        "PRICELESS": Price(revision=1, money=Money(amount_minor=AMOUNT_MAX, currency="EUR")),
    }
    rejected = last_emitted(ORDERS, [asked(**changes)], book)
    assert isinstance(rejected, orders.OrderRejected)
    assert rejected.reason is reason
    assert rejected.detail


def test_a_rejection_for_a_changed_price_gives_both_numbers() -> None:
    seen = Money(amount_minor=1, currency="EUR")
    rejected = last_emitted(ORDERS, [asked(total_seen=seen)])
    assert (rejected.total_seen, rejected.total_now) == (seen, TOTAL)


def test_a_seen_total_is_accepted_while_it_is_current() -> None:
    assert emitted(ORDERS, [asked(total_seen=TOTAL)]) == ["OrderPlaced"]


def test_a_rejected_order_remembers_why() -> None:
    order = state_after(ORDERS, [PLACE_UNKNOWN])
    assert order.reject_reason is RejectReason.UNKNOWN_SKU
    assert "NO-SUCH-THING" in order.detail


# the pivot


@pytest.mark.parametrize("responses", [[RESERVED, AUTHORIZED], [AUTHORIZED, RESERVED]])
def test_goods_and_money_confirm_an_order_in_any_order(responses: list[Any]) -> None:
    assert emitted(ORDERS, [PLACE, *responses]) == ["OrderPlaced", "OrderConfirmed"]


@pytest.mark.parametrize(("response", "left"), [(RESERVED, ["payment"]), (AUTHORIZED, ["stock"])])
def test_one_event_alone_confirms_nothing(response: Any, left: list[str]) -> None:
    assert emitted(ORDERS, [PLACE, response, response]) == ["OrderPlaced"]
    assert state_after(ORDERS, [PLACE, response]).awaits == left


# rejections and cancellations


@pytest.mark.parametrize(
    ("message", "reason"),
    [
        (OUT_OF_STOCK, CancelReason.OUT_OF_STOCK),
        (DECLINED, CancelReason.PAYMENT_DECLINED),
        (DEADLINE, CancelReason.DEADLINE),
        (CANCEL, CancelReason.CUSTOMER),
    ],
)
@pytest.mark.parametrize("before", [[], [RESERVED], [AUTHORIZED]])
def test_an_order_under_way_is_cancelled_with_the_reason(
    message: Any, reason: CancelReason, before: list[Any]
) -> None:
    cancelled = last_emitted(ORDERS, [PLACE, *before, message])
    assert isinstance(cancelled, orders.OrderCancelled)
    assert (cancelled.reason, cancelled.after_confirmation) == (reason, False)


def test_a_confirmed_order_can_be_cancelled_until_it_is_dispatched() -> None:
    assert last_emitted(ORDERS, [*TO_CONFIRMED, CANCEL]).after_confirmation is True
    refused = last_emitted(ORDERS, [*TO_CONFIRMED, DISPATCH, CANCEL])
    assert refused.reason is RefuseReason.ALREADY_DISPATCHED


def test_a_cancellation_that_overtakes_its_order_ends_it_at_once() -> None:
    assert emitted(ORDERS, [CANCEL, PLACE]) == ["OrderCancelled"]


def test_a_strangers_cancellation_that_overtakes_the_order_has_no_effect() -> None:
    assert emitted(ORDERS, [CANCEL_BY_STRANGER, PLACE]) == ["OrderPlaced"]


@pytest.mark.parametrize("early", [[CANCEL, CANCEL_BY_STRANGER], [CANCEL_BY_STRANGER, CANCEL]])
def test_a_stranger_cannot_undo_an_early_cancellation(early: list[Any]) -> None:
    assert emitted(ORDERS, [*early, PLACE]) == ["OrderCancelled"]


def test_an_early_cancellation_leaves_a_rejected_order_rejected() -> None:
    assert emitted(ORDERS, [CANCEL, PLACE_UNKNOWN]) == ["OrderRejected"]


@pytest.mark.parametrize("history", [[PLACE], TO_CONFIRMED, [PLACE, CANCEL], [*TO_CONFIRMED, DISPATCH]])
def test_only_its_customer_can_cancel_an_order(history: list[Any]) -> None:
    assert last_emitted(ORDERS, [*history, CANCEL_BY_STRANGER]).reason is RefuseReason.NOT_YOURS
    assert state_after(ORDERS, [*history, CANCEL_BY_STRANGER]) == state_after(ORDERS, history)


def test_cancelling_twice_is_cancelling_once() -> None:
    assert emitted(ORDERS, [PLACE, CANCEL, CANCEL]) == ["OrderPlaced", "OrderCancelled"]


def test_a_rejected_order_cannot_be_cancelled() -> None:
    assert last_emitted(ORDERS, [PLACE_UNKNOWN, CANCEL]).reason is RefuseReason.ALREADY_ENDED


@pytest.mark.parametrize("late", [RESERVED, OUT_OF_STOCK, AUTHORIZED, DECLINED, FAILED, DEADLINE])
@pytest.mark.parametrize("end", [[CANCEL], [DEADLINE], [DECLINED]])
def test_events_about_a_cancelled_order_are_late(end: list[Any], late: Any) -> None:
    assert emitted(ORDERS, [PLACE, *end, late]) == ["OrderPlaced", "OrderCancelled"]
    assert state_after(ORDERS, [PLACE, *end, late]) == state_after(ORDERS, [PLACE, *end])


@pytest.mark.parametrize("late", [RESERVED, OUT_OF_STOCK, AUTHORIZED, DECLINED, DEADLINE])
@pytest.mark.parametrize("end", [[], [DISPATCH], [FAILED]])
def test_late_deadlines_do_not_change_a_confirmed_order(end: list[Any], late: Any) -> None:
    assert state_after(ORDERS, [*TO_CONFIRMED, *end, late]) == state_after(ORDERS, [*TO_CONFIRMED, *end])


def test_deadline_and_last_event_together_give_one_outcome() -> None:
    assert emitted(ORDERS, [PLACE, RESERVED, DEADLINE, AUTHORIZED]) == ["OrderPlaced", "OrderCancelled"]
    assert emitted(ORDERS, [PLACE, RESERVED, AUTHORIZED, DEADLINE]) == ["OrderPlaced", "OrderConfirmed"]


# the warehouse


def test_a_confirmed_order_is_dispatched_once() -> None:
    assert emitted(ORDERS, [*TO_CONFIRMED, DISPATCH, DISPATCH])[2:] == ["OrderDispatched"]


@pytest.mark.parametrize(
    ("history", "reason"),
    [
        ([], RefuseReason.NOT_CONFIRMED),
        ([PLACE], RefuseReason.NOT_CONFIRMED),
        ([PLACE, RESERVED], RefuseReason.NOT_CONFIRMED),
        ([PLACE, CANCEL], RefuseReason.ALREADY_ENDED),
        ([PLACE_UNKNOWN], RefuseReason.ALREADY_ENDED),
        ([*TO_CONFIRMED, FAILED], RefuseReason.NOT_CONFIRMED),
    ],
)
def test_an_unconfirmed_order_is_not_dispatched(history: list[Any], reason: RefuseReason) -> None:
    assert last_emitted(ORDERS, [*history, DISPATCH]).reason is reason


# a capture that failed


@pytest.mark.parametrize("sent", [[], [DISPATCH]])
def test_a_failed_capture_needs_attention(sent: list[Any]) -> None:
    alarm = last_emitted(ORDERS, [*TO_CONFIRMED, *sent, FAILED])
    assert isinstance(alarm, orders.OrderNeedsAttention)
    assert alarm.detail == FAILED.detail == state_after(ORDERS, [*TO_CONFIRMED, *sent, FAILED]).detail


def test_an_undispatched_order_needing_attention_can_be_cancelled() -> None:
    assert emitted(ORDERS, [*TO_CONFIRMED, FAILED, CANCEL])[-1] == "OrderCancelled"
    gone = last_emitted(ORDERS, [*TO_CONFIRMED, DISPATCH, FAILED, CANCEL])
    assert gone.reason is RefuseReason.ALREADY_DISPATCHED


@pytest.mark.parametrize("response", [RESERVED, OUT_OF_STOCK, AUTHORIZED, DECLINED, FAILED, DEADLINE])
@pytest.mark.parametrize("history", [[], [PLACE_UNKNOWN]])
def test_an_event_about_an_unplaced_order_is_out_of_turn(history: list[Any], response: Any) -> None:
    with pytest.raises(OutOfTurn):
        emitted(ORDERS, [*history, response])


# the card provider's result differs from the request
