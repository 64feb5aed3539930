"""What the gateway writes down of an order, and what it leaves out."""

from datetime import timedelta

from contracts import notifications
from contracts.notifications import MailKind
from contracts.orders import CancelReason
from gateway.decider import decide
from gateway.journey import CancellationSent, Journey, Sent, Status
from gateway.wording import NEWS
from tests.gateway.endings import (
    ADA,
    AUTHORIZED,
    BEGUN,
    CONFIRMED,
    DISPATCHED,
    LINES,
    ORDER,
    PLACED,
    RESERVED,
    SEND,
    SHORT,
    TOTAL,
    WAYS,
    cancelled,
    play,
)


def test_what_is_told_is_numbered_without_a_hole() -> None:
    for words in WAYS.values():
        journey, _ = play(*words)
        assert [told.seq for told in journey.told] == list(range(1, journey.seq + 1))


def test_an_order_is_received_once_the_broker_has_it() -> None:
    assert play(SEND)[0].status is Status.SENDING
    assert play(SEND, Sent)[0].status is Status.RECEIVED


def test_sending_again_changes_nothing() -> None:
    once, _ = play(SEND, Sent)
    assert decide(once, SEND).state == once
    assert decide(once, Sent(BEGUN)).state == once


def test_news_that_is_faster_than_the_brokers_confirmation_counts() -> None:
    journey, _ = play(SEND, PLACED, Sent)
    assert journey.status is Status.PLACED
    assert [told.type for told in journey.told] == [PLACED.TYPE]


def test_an_order_of_an_app_is_known_by_its_events() -> None:
    journey, _ = play(PLACED)
    assert (journey.customer_id, journey.lines, journey.total) == (ADA, LINES, TOTAL)


def test_late_news_turns_no_status_back() -> None:
    assert play(SEND, DISPATCHED, CONFIRMED, PLACED)[0].status is Status.DISPATCHED
    assert play(SEND, cancelled(CancelReason.CUSTOMER), PLACED, RESERVED)[0].status is Status.CANCELLED


def test_the_time_is_when_it_was_said() -> None:
    journey, now = play(SEND, Sent, PLACED, timedelta(minutes=1), RESERVED)
    assert [told.at for told in journey.told] == [
        BEGUN + timedelta(seconds=2),
        BEGUN + timedelta(seconds=3),
        now,
    ]


def test_a_time_that_is_not_known_is_not_made_up() -> None:
    assert decide(Journey(), AUTHORIZED).state.told[0].at is None


def test_pressing_cancel_twice_is_told_once() -> None:
    journey, now = play(SEND, Sent, CancellationSent)
    assert decide(journey, CancellationSent(now)).state == journey


def test_mails_about_users_are_none_of_an_orders_news() -> None:
    for kind in (MailKind.USER_REGISTERED, MailKind.PASSWORD_RESET):
        assert decide(Journey(), notifications.MailSent(about=ORDER, kind=kind), BEGUN).state == Journey()


def test_what_ran_short_is_kept_for_a_sentence() -> None:
    assert play(SEND, SHORT)[0].told[-1].detail == "KETTLE-BLUE"


def test_the_projection_holds_no_more_than_ids_amounts_and_reasons() -> None:
    """A message's detail is free text of a service; only what is a reason by contract, or names an SKU, is kept."""
    failed, _ = play(*WAYS["needs attention"])
    assert "capture refused" not in repr(failed)


def test_every_event_that_is_heard_is_told() -> None:
    told = {told.type for words in WAYS.values() for told in play(*words)[0].told}
    missing = {event.TYPE for event in NEWS} - told
    assert missing == {"order.placement_refused.v1"}, "let endings.py hear it"
