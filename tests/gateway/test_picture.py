"""What a shopper sees of every way that an order can go."""

import itertools
from dataclasses import replace
from datetime import timedelta

import pytest

from contracts.message import REGISTRY
from gateway.journey import Journey, Told
from gateway.picture import Picture, begun_at, draw
from gateway.stops import State
from gateway.wording import in_words, status_in_words
from tests.gateway.endings import (
    AUTHORIZED,
    BEGUN,
    CAPTURED,
    CONFIRMED,
    ORDER,
    PLACED,
    RESERVED,
    SEND,
    WAYS,
    Words,
    play,
)

SHORT_FORMS = {
    State.NEXT: "-",
    State.WORKING: "~",
    State.DONE: "v",
    State.WAITING: "?",
    State.FAILED: "x",
    State.UNDONE: "<",
    State.SKIPPED: "/",
}


def drawn(words: Words) -> Picture:
    journey, now = play(*words)
    return draw(ORDER, journey, now)


def states(picture: Picture) -> str:
    """The line, and after a blank what is undone: one sign each."""
    line, back = ("".join(SHORT_FORMS[stop.state] for stop in stops) for stops in (picture.line, picture.back))
    return f"{line} {back}".strip()


@pytest.mark.parametrize(
    "way, expected, current, resting, cancellable",
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
    ],
)
def test_every_way_has_its_picture(way: str, expected: str, current: str, resting: bool, cancellable: bool) -> None:
    picture = drawn(WAYS[way])
    assert states(picture) == expected
    assert (picture.current, picture.resting, picture.cancellable) == (current, resting, cancellable)


@pytest.mark.parametrize("words", WAYS.values(), ids=list(WAYS))
def test_a_shopper_never_reads_the_name_of_a_message(words: Words) -> None:
    journey, _ = play(*words)
    picture = drawn(words)
    read = [picture.heading, picture.sentence, picture.note, status_in_words(journey)]
    read += [text for stop in (*picture.line, *picture.back) for text in (stop.title, stop.sentence)]
    read += [in_words(told) for told in journey.told]
    assert not [text for text in read for name in (*REGISTRY, "_") if name in text]
    assert all(text == text.strip() and "  " not in text and ".." not in text for text in read)


def test_what_the_gateway_does_not_know_is_an_update() -> None:
    assert in_words(Told(1, "order.gift_wrapped.v1", BEGUN)) == "Update received."


def test_a_journey_with_unknown_news_is_still_drawn() -> None:
    journey, now = play(*WAYS["paying"])
    odd = journey.telling("order.gift_wrapped.v1", now)
    assert states(draw(ORDER, odd, now)) == "vv~--"


@pytest.mark.parametrize("shuffled", list(itertools.permutations([PLACED, RESERVED, AUTHORIZED, CONFIRMED, CAPTURED])))
def test_the_order_of_the_news_does_not_matter(shuffled: Words) -> None:
    """Each service speaks when it likes; whatever has come in, the picture is one that could be."""
    assert states(drawn((SEND, *shuffled))) == "vvvv-"
    for heard in range(1, len(shuffled)):
        line = states(drawn((SEND, *shuffled[:heard])))
        assert "v" not in line.lstrip("v"), f"a stop is done after one that is not: {line}"


def test_a_slow_payment_says_when_the_order_ends_by_itself() -> None:
    journey, now = play(*WAYS["waiting for payment"])
    waiting = next(stop for stop in draw(ORDER, journey, now, timedelta(minutes=5)).line if stop.name == "payment")
    placed_at = next(told.at for told in journey.told if told.type == PLACED.TYPE)
    assert placed_at and waiting.until == placed_at + timedelta(minutes=5)
    assert "nothing is charged" in waiting.then
    assert drawn(WAYS["waiting for payment"]).heading.endswith("is waiting for payment")


def test_a_mail_that_fails_or_is_late_never_makes_an_order_look_bad() -> None:
    for way in ("confirmed", "mail undeliverable"):
        picture = drawn(WAYS[way])
        assert picture.tone is State.DONE
        assert picture.heading.endswith("is confirmed")
    assert drawn((*WAYS["confirmed"], timedelta(days=1))).line[-1].state is State.NEXT


def test_a_stream_does_not_wait_for_a_mail_for_ever() -> None:
    assert not drawn(WAYS["confirmed"]).resting
    assert drawn((*WAYS["confirmed"], timedelta(minutes=2))).resting


def test_an_order_that_waits_for_money_is_not_at_rest() -> None:
    for way in ("waiting for payment", "refunding"):
        assert not drawn((*WAYS[way], timedelta(days=1))).resting


def test_an_order_that_was_never_sent_is_given_up_one_day() -> None:
    assert drawn((*WAYS["not sent"], timedelta(hours=1))).resting


def test_long_gaps_are_folded() -> None:
    later = [stop.later for stop in drawn(WAYS["confirmed after a while"]).line]
    assert later == ["", "", "2 min later", "", ""]
    assert "60 min later" in [stop.later for stop in drawn(WAYS["dispatched"]).line]


@pytest.mark.parametrize(
    "way, said",
    [
        ("paying", "Step 3 of 5: taking payment."),
        ("out of stock", "Nothing was charged."),
        ("declined", "Nothing was charged."),
        ("deadline", "Nothing was charged."),
        ("cancelled under way", "Nothing was charged."),
        ("refunding", "Giving your money back."),
        ("refunded", "€64.00"),
        ("price changed", "you saw 64.00 EUR, it is now 66.00 EUR"),
        ("needs attention", "You need not do anything."),
    ],
)
def test_the_sentence_says_what_matters(way: str, said: str) -> None:
    assert said in drawn(WAYS[way]).sentence


def test_a_cancellation_is_answered() -> None:
    assert "Cancellation requested" in drawn(WAYS["cancellation requested"]).note
    assert "too late" in drawn(WAYS["too late to cancel"]).note
    assert drawn(WAYS["cancelled under way"]).note == ""


def test_exactly_one_stop_is_the_current_one() -> None:
    for words in WAYS.values():
        picture = drawn(words)
        names = [stop.name for stop in (*picture.line, *picture.back)]
        assert names.count(picture.current) == 1
        assert len(names) == len(set(names))


def test_news_without_a_time_is_drawn_without_one() -> None:
    journey, now = play(*WAYS["refunded"])
    timeless = replace(journey, told=tuple(replace(told, at=None) for told in journey.told))
    assert states(draw(ORDER, timeless, now)) == "vvvvv <<<"
    assert begun_at(ORDER, timeless) == BEGUN, "its id knows"


def test_an_order_of_which_only_strange_news_is_known_is_drawn() -> None:
    assert states(draw(ORDER, Journey(), BEGUN)) == "~----"
