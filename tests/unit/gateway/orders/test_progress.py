"""The progress that customers see, for every outcome of an order."""

import itertools
import re
from dataclasses import replace
from datetime import timedelta

import pytest

from contracts import orders, payments
from contracts.catalog import CATALOG
from gateway.orders.messages import describe_entry, describe_status
from gateway.orders.progress import OrderProgress, build_progress, ordered_at
from gateway.orders.step_state import StepState
from gateway.orders.timeline import OrderTimeline, TimelineEntry
from tests.support.order_outcomes import (
    AUTHORIZED,
    BEGUN,
    CANCELLED_BY_CUSTOMER,
    CAPTURED,
    CONFIRMED,
    FREE,
    ORDER,
    OUTCOMES,
    PLACED,
    RESERVED,
    SUBMIT,
    VOIDED,
    History,
    replay,
)

SHORT_FORMS = {
    StepState.NEXT: "-",
    StepState.WORKING: "~",
    StepState.DONE: "v",
    StepState.WAITING: "?",
    StepState.FAILED: "x",
    StepState.UNDONE: "<",
    StepState.SKIPPED: "/",
}


def drawn(history: History) -> OrderProgress:
    timeline, now = replay(*history)
    return build_progress(ORDER, timeline, now)


def states(progress: OrderProgress) -> str:
    """One sign per step, and after a space one per compensation step."""
    steps, compensation = (
        "".join(SHORT_FORMS[step.state] for step in stops)
        for stops in (progress.steps, progress.compensation)
    )
    return f"{steps} {compensation}".strip()


@pytest.mark.parametrize(
    "way, expected, current, settled, cancellable",
    [
        ("sending", "~----", "received", False, False),
        ("not sent", "?----", "received", False, False),
        ("received", "v~---", "stock", False, True),
        ("placed", "v~---", "stock", False, True),
        ("waiting for stock", "v?---", "stock", False, True),
        ("paying", "vv~--", "payment", False, True),
        ("waiting for payment", "vv?--", "payment", False, True),
        ("confirming", "vvv~-", "confirmed", False, True),
        ("confirmed", "vvvv-", "confirmed", False, True),
        ("confirmed and mailed", "vvvvv", "confirmed", True, True),
        ("confirmed after a while", "vvvvv", "confirmed", True, True),
        ("mail undeliverable", "vvvvx", "confirmed", True, True),
        ("dispatched", "vvvvvv", "dispatched", True, False),
        ("dispatched and tracked", "vvvvvv", "dispatched", True, False),
        ("refunded in part", "vvvvvv", "dispatched", True, False),
        ("too late to cancel", "vvvvvv", "dispatched", False, False),
        ("out of stock", "vx//v x", "cancelled", True, False),
        ("declined", "vvx/v x<", "items", True, False),
        ("cancellation requested", "vv~--", "payment", False, False),
        ("cancelled before placed", "v///v <", "cancelled", True, False),
        ("cancelled under way", "vvv/v <<<", "money", True, False),
        ("refunding", "vvvv- <<~", "money", False, False),
        ("refunded", "vvvvv <<<", "money", True, False),
        ("deadline", "vvx/v x<", "items", True, False),
        ("price changed", "x////", "received", True, False),
        ("unknown article", "x////", "received", True, False),
        ("other amount authorised", "vvx/v x<<", "money", True, False),
        ("other amount captured", "vv?v-", "payment", False, True),
        ("other amount refunded", "vvvv- <<x", "money", False, False),
        ("needs attention", "vv?v-", "payment", False, True),
        ("settled outside", "vvvvv", "confirmed", True, True),
        ("captured by a repeated request", "vvvvv", "confirmed", True, True),
        ("settled outside after the dispatch", "vvvvvv", "dispatched", True, False),
    ],
)
def test_every_outcome_has_its_progress(
    way: str, expected: str, current: str, settled: bool, cancellable: bool
) -> None:
    progress = drawn(OUTCOMES[way])
    assert states(progress) == expected
    assert (progress.current, progress.settled, progress.cancellable) == (current, settled, cancellable)


@pytest.mark.parametrize("history", OUTCOMES.values(), ids=list(OUTCOMES))
def test_customer_texts_contain_no_message_names(history: History) -> None:
    timeline, _ = replay(*history)
    progress = drawn(history)
    read = [progress.heading, progress.sentence, progress.note, describe_status(timeline)]
    read += [
        text for step in (*progress.steps, *progress.compensation) for text in (step.title, step.sentence)
    ]
    read += [describe_entry(entry, timeline) for entry in timeline.told]
    assert not [text for text in read for name in (*CATALOG, "_") if name in text]
    assert all(text == text.strip() and "  " not in text and ".." not in text for text in read)


FREE_ORDER: History = tuple(
    event.model_copy(update={"amount": FREE} if "amount" in type(event).model_fields else {"total": FREE})
    if isinstance(event, orders.OrderPlaced | payments.PaymentAuthorized | payments.PaymentCaptured)
    else event
    for event in (PLACED, RESERVED, AUTHORIZED, CONFIRMED, CAPTURED)
)


@pytest.mark.parametrize(
    ("history", "expected"),
    [
        (FREE_ORDER[:1], "v~---"),
        (FREE_ORDER[:2], "vv~--"),
        ((*FREE_ORDER[:2], timedelta(minutes=1)), "vv?--"),
        (FREE_ORDER, "vvvv-"),
        ((*FREE_ORDER, CANCELLED_BY_CUSTOMER, VOIDED), "vvvv- <~"),
        ((FREE_ORDER[0], CANCELLED_BY_CUSTOMER), "v///- <"),
    ],
)
def test_a_free_order_does_not_mention_cards_or_refunds(history: History, expected: str) -> None:
    timeline, _ = replay(*history)
    progress = drawn(history)
    assert states(progress) == expected
    steps = (*progress.steps, *progress.compensation)
    texts = [progress.sentence, *(step.title + step.sentence for step in steps)]
    texts += [describe_entry(entry, timeline) for entry in timeline.told]
    assert not [text for text in texts if re.search("card|taken|authorised|refunded|payment", text, re.I)]


def test_an_unknown_event_is_described_as_an_update() -> None:
    assert (
        describe_entry(TimelineEntry(1, "order.gift_wrapped.v1", BEGUN), OrderTimeline())
        == "Update received."
    )


def test_progress_ignores_unknown_events() -> None:
    timeline, now = replay(*OUTCOMES["paying"])
    odd = timeline.with_entry("order.gift_wrapped.v1", now)
    assert states(build_progress(ORDER, odd, now)) == "vv~--"


@pytest.mark.parametrize(
    "shuffled", list(itertools.permutations([PLACED, RESERVED, AUTHORIZED, CONFIRMED, CAPTURED]))
)
def test_progress_is_independent_of_event_order(shuffled: History) -> None:
    """Events of different services arrive in any order. After each, the progress is consistent."""
    assert states(drawn((SUBMIT, *shuffled))) == "vvvv-"
    for received in range(1, len(shuffled)):
        steps = states(drawn((SUBMIT, *shuffled[:received])))
        assert "v" not in steps.lstrip("v"), f"a step is done after one that is not: {steps}"


def test_a_slow_payment_shows_the_orders_deadline() -> None:
    timeline, now = replay(*OUTCOMES["waiting for payment"])
    waiting = next(
        step
        for step in build_progress(ORDER, timeline, now, timedelta(minutes=5)).steps
        if step.name == "payment"
    )
    placed_at = next(entry.at for entry in timeline.told if entry.type == PLACED.TYPE)
    assert placed_at and waiting.until == placed_at + timedelta(minutes=5)
    assert "nothing is charged" in waiting.then
    assert drawn(OUTCOMES["waiting for payment"]).heading.endswith("is waiting for payment")


def test_failed_or_late_mails_do_not_affect_order_progress() -> None:
    for way in ("confirmed", "mail undeliverable"):
        progress = drawn(OUTCOMES[way])
        assert progress.tone is StepState.DONE
        assert progress.heading.endswith("is confirmed")
    assert drawn((*OUTCOMES["confirmed"], timedelta(days=1))).steps[-1].state is StepState.NEXT


def test_a_stream_does_not_wait_for_a_mail_for_ever() -> None:
    assert not drawn(OUTCOMES["confirmed"]).settled
    assert drawn((*OUTCOMES["confirmed"], timedelta(minutes=2))).settled


def test_an_order_with_a_pending_payment_is_not_settled() -> None:
    for way in ("waiting for payment", "refunding"):
        assert not drawn((*OUTCOMES[way], timedelta(days=1))).settled


def test_an_unsent_order_is_abandoned_eventually() -> None:
    assert drawn((*OUTCOMES["not sent"], timedelta(hours=1))).settled


def test_long_gaps_are_shown_as_pauses() -> None:
    later = [step.later for step in drawn(OUTCOMES["confirmed after a while"]).steps]
    assert later == ["", "", "2 min later", "", ""]
    assert "60 min later" in [step.later for step in drawn(OUTCOMES["dispatched"]).steps]


@pytest.mark.parametrize(
    "way, expected",
    [
        ("paying", "Step 3 of 5: taking payment."),
        ("out of stock", "Nothing was charged."),
        ("declined", "Nothing was charged."),
        ("deadline", "Nothing was charged."),
        ("cancelled under way", "Nothing was charged."),
        ("refunding", "Issuing your refund."),
        ("refunded", "€64.00"),
        ("price changed", "you saw 64.00 EUR, it is now 66.00 EUR"),
        ("needs attention", "You do not need to do anything."),
    ],
)
def test_the_summary_states_the_outcome(way: str, expected: str) -> None:
    assert expected in drawn(OUTCOMES[way]).sentence


def test_a_requested_cancellation_is_shown() -> None:
    assert "Cancellation requested" in drawn(OUTCOMES["cancellation requested"]).note
    assert "too late" in drawn(OUTCOMES["too late to cancel"]).note
    assert drawn(OUTCOMES["cancelled under way"]).note == ""


def test_exactly_one_progress_step_is_current() -> None:
    for history in OUTCOMES.values():
        progress = drawn(history)
        names = [step.name for step in (*progress.steps, *progress.compensation)]
        assert names.count(progress.current) == 1
        assert len(names) == len(set(names))


def test_entries_without_a_time_are_shown_without_one() -> None:
    timeline, now = replay(*OUTCOMES["refunded"])
    timeless = replace(timeline, told=tuple(replace(entry, at=None) for entry in timeline.told))
    assert states(build_progress(ORDER, timeless, now)) == "vvvvv <<<"
    assert ordered_at(ORDER, timeless) == BEGUN, "the time comes from the id"


def test_progress_is_shown_even_for_unexpected_events_only() -> None:
    assert states(build_progress(ORDER, OrderTimeline(), BEGUN)) == "~----"
