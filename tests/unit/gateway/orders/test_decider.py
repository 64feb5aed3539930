"""The projection of events onto an order's timeline, and what it leaves out."""

from datetime import timedelta

from chassis.core.decision import Context
from contracts import notifications
from contracts.notifications import MailKind
from contracts.orders import CancelReason
from gateway.orders.decider import decide
from gateway.orders.messages import EVENT_MESSAGES
from gateway.orders.timeline import CancellationSubmitted, OrderSubmitted, OrderTimeline, TimelineStatus
from tests.support.order_outcomes import (
    ADA,
    AUTHORIZED,
    BEGUN,
    CONFIRMED,
    DISPATCHED,
    LINES,
    ORDER,
    OUTCOMES,
    PLACED,
    RESERVED,
    SHORT,
    SUBMIT,
    TOTAL,
    cancelled,
    replay,
)


def test_entries_are_numbered_without_gaps() -> None:
    for history in OUTCOMES.values():
        timeline, _ = replay(*history)
        assert [entry.seq for entry in timeline.told] == list(range(1, timeline.seq + 1))


def test_an_order_is_received_once_the_broker_has_it() -> None:
    assert replay(SUBMIT)[0].status is TimelineStatus.SENDING
    assert replay(SUBMIT, OrderSubmitted)[0].status is TimelineStatus.RECEIVED


def test_sending_again_changes_nothing() -> None:
    once, _ = replay(SUBMIT, OrderSubmitted)
    assert decide(once, SUBMIT, Context()).state == once
    assert decide(once, OrderSubmitted(BEGUN), Context()).state == once


def test_events_before_the_publisher_confirm_count() -> None:
    timeline, _ = replay(SUBMIT, PLACED, OrderSubmitted)
    assert timeline.status is TimelineStatus.PLACED
    assert [entry.type for entry in timeline.told] == [PLACED.TYPE]


def test_an_order_of_another_client_appears_by_its_events() -> None:
    timeline, _ = replay(PLACED)
    assert (timeline.customer_id, timeline.lines, timeline.total) == (ADA, LINES, TOTAL)


def test_late_events_do_not_revert_the_status() -> None:
    assert replay(SUBMIT, DISPATCHED, CONFIRMED, PLACED)[0].status is TimelineStatus.DISPATCHED
    assert (
        replay(SUBMIT, cancelled(CancelReason.CUSTOMER), PLACED, RESERVED)[0].status
        is TimelineStatus.CANCELLED
    )


def test_an_entrys_time_is_that_of_its_event() -> None:
    timeline, now = replay(SUBMIT, OrderSubmitted, PLACED, timedelta(minutes=1), RESERVED)
    assert [entry.at for entry in timeline.told] == [
        BEGUN + timedelta(seconds=2),
        BEGUN + timedelta(seconds=3),
        now,
    ]


def test_an_unknown_time_stays_unknown() -> None:
    assert decide(OrderTimeline(), AUTHORIZED, Context()).state.told[0].at is None


def test_a_repeated_cancellation_is_one_entry() -> None:
    timeline, now = replay(SUBMIT, OrderSubmitted, CancellationSubmitted)
    assert decide(timeline, CancellationSubmitted(now), Context()).state == timeline


def test_account_mails_are_no_order_entries() -> None:
    for kind in (MailKind.USER_REGISTERED, MailKind.PASSWORD_RESET):
        assert (
            decide(
                OrderTimeline(), notifications.MailSent(about=ORDER, kind=kind), Context(sent_at=BEGUN)
            ).state
            == OrderTimeline()
        )


def test_the_sku_that_ran_short_is_kept() -> None:
    assert replay(SUBMIT, SHORT)[0].told[-1].detail == "KETTLE-BLUE"


def test_the_projection_holds_no_more_than_ids_amounts_and_reasons() -> None:
    """A message's detail is free text. The timeline keeps only reasons of the contract and SKUs."""
    failed, _ = replay(*OUTCOMES["needs attention"])
    assert "capture refused" not in repr(failed)


def test_every_handled_event_is_an_entry() -> None:
    entry = {entry.type for history in OUTCOMES.values() for entry in replay(*history)[0].told}
    missing = {event.TYPE for event in EVENT_MESSAGES} - entry
    assert missing == {"order.placement_refused.v1"}, "add it to order_outcomes.py"
