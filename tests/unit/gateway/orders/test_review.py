"""What customers see of an order that needed attention, in every order of arrival."""

from itertools import permutations

import pytest

from chassis.messaging.message import Event
from contracts import payments
from contracts.payments import SettlementReason
from contracts.values import Money, ReturnedLine, ReturnTo
from gateway.orders.messages import describe_entry, describe_status
from gateway.orders.timeline import TimelineStatus
from tests.support.order_outcomes import (
    ATTENTION,
    AUTHORIZED,
    CONFIRMED,
    DISPATCHED,
    FAILED,
    OUTCOMES,
    PLACED,
    RESERVED,
    RESOLVED,
    SETTLED,
    part_refunded,
    replay,
)


@pytest.mark.parametrize("arrival", [*permutations([CONFIRMED, FAILED, ATTENTION, RESOLVED])])
def test_an_order_is_confirmed_again_whatever_arrives_first(arrival: tuple[Event, ...]) -> None:
    timeline, _ = replay(PLACED, RESERVED, AUTHORIZED, *arrival)
    assert timeline.status is TimelineStatus.CONFIRMED


@pytest.mark.parametrize("arrival", [*permutations([DISPATCHED, ATTENTION, RESOLVED])])
def test_a_dispatched_order_is_on_its_way_again(arrival: tuple[Event, ...]) -> None:
    timeline, _ = replay(PLACED, RESERVED, AUTHORIZED, CONFIRMED, *arrival)
    assert timeline.status is TimelineStatus.DISPATCHED


def test_a_later_attempt_that_fails_is_under_review_again() -> None:
    again = ATTENTION.model_copy(update={"attempt": 1})
    timeline, _ = replay(PLACED, CONFIRMED, ATTENTION, RESOLVED, again)
    assert describe_status(timeline) == "Under review"


@pytest.mark.parametrize("reason", SettlementReason)
def test_a_settlement_is_described_by_its_reason_only(reason: SettlementReason) -> None:
    assert SETTLED.settlement is not None
    settlement = SETTLED.settlement.model_copy(update={"reason": reason})
    resolved = SETTLED.model_copy(update={"settlement": settlement})
    timeline, _ = replay(PLACED, resolved)
    sentence = describe_entry(timeline.told[-1], timeline)
    assert sentence.endswith(".") and "BANK-815" not in repr(timeline)


def test_a_repeated_request_that_succeeds_is_described() -> None:
    timeline, _ = replay(*OUTCOMES["captured by a repeated request"])
    [entry] = [entry for entry in timeline.told if entry.type == payments.PaymentResolved.TYPE]
    assert describe_entry(entry, timeline) == "The problem with the payment is solved."


@pytest.mark.parametrize("arrival", [*permutations([part_refunded(1_400, 1_400), part_refunded(600, 2_000)])])
def test_refunds_of_parts_add_up_whatever_arrives_first(arrival: tuple[Event, ...]) -> None:
    timeline, _ = replay(PLACED, CONFIRMED, DISPATCHED, *arrival)
    assert timeline.refunded == Money(amount_minor=2_000, currency="EUR")
    sentences = {describe_entry(entry, timeline) for entry in timeline.told[-2:]}
    assert sentences == {
        f"€{amount} of your payment is refunded to your card." for amount in ("14.00", "6.00")
    }


def test_a_refund_names_the_goods_that_it_is_for() -> None:
    returned = tuple(
        ReturnedLine(sku="MUG-WHITE", quantity=count, to=to, title="Mug for tea")
        for count, to in ((1, ReturnTo.STOCK), (2, ReturnTo.WRITTEN_OFF))
    )
    refunded = part_refunded(1_400, 1_400).model_copy(update={"returned": returned})
    timeline, _ = replay(PLACED, CONFIRMED, DISPATCHED, refunded)
    assert (timeline.told[-1].detail, timeline.told[-1].items) == ("€14.00", ("3 × Mug for tea",))
    sentence = describe_entry(timeline.told[-1], timeline)
    assert sentence == "€14.00 of your payment is refunded to your card, for 3 × Mug for tea."
