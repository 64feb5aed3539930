"""What is known of the system, and what is not: an unknown number is never 0."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from journey.broker_admin import Traffic
from journey.services import HEARERS, whole_topology
from operations import drawing
from operations.broker import Counted
from operations.figures import UNKNOWN, Picture, silent, told, total
from tests.operations.desks import DeskInMemory, at_work

NOW = datetime(2031, 5, 6, 7, 8, 9, tzinfo=UTC)
QUIET = Traffic(0, 0, 2, 0.0, 0.0)
ALL = {queue.name: QUIET for queue in whole_topology().queues}
READY = dict.fromkeys(HEARERS, "")


def picture(changes: dict[str, Traffic] | None = None, unready: dict[str, str] | None = None) -> Picture:
    return told(Counted(ALL | (changes or {}), ()), READY | (unready or {}), NOW)


def of(seen: Picture, name: str = "payment_svc") -> tuple[str, list[str]]:
    service = next(service for service in seen.services if service.name == name)
    return service.state, service.warnings


def test_a_sum_with_an_unknown_part_is_unknown() -> None:
    assert total([1, 2.5]) == 3.5 and total([]) == 0
    assert total([1, None]) is None and total([None]) is None


def test_before_the_first_look_all_is_unknown_and_nothing_is_called_missing() -> None:
    seen = Picture()
    assert seen.dead is None and seen.missing == []
    assert {service.state for service in seen.services} == {"unknown"}
    assert {service.instances for service in seen.services} == {None}


def test_when_the_broker_is_silent_what_it_said_last_is_not_repeated() -> None:
    before = picture({"payment_svc.events": replace(QUIET, ready=7)})
    first = silent(before, "no answer", READY, NOW + timedelta(seconds=5))
    later = silent(first, "no answer", READY, NOW + timedelta(seconds=10))
    assert later.as_of == NOW and later.silent_since == NOW + timedelta(seconds=5), "since when, not the last try"
    assert later.dead is None and {service.ready for service in later.services} == {None}
    assert later.missing == [], "what is not told is not missing"
    back = told(Counted(ALL, ()), READY, NOW + timedelta(seconds=15))
    assert back.silent_since is None and back.dead == 0


def test_a_queue_that_nobody_consumes_is_told_of() -> None:
    assert of(picture()) == ("ok", [])
    state, [why] = of(picture({"payment_svc.events": replace(QUIET, consumers=0)}))
    assert state == "down" and why.startswith("no consumer")


def test_commands_without_a_consumer_are_a_pause_and_no_death() -> None:
    state, [why] = of(picture({"payment_svc.commands": replace(QUIET, consumers=0)}))
    assert state == "slow" and "outside world does not answer" in why


def test_a_service_that_does_not_answer_is_down_only_if_nobody_consumes_for_it() -> None:
    assert of(picture(unready={"payment_svc": "it does not answer"}))[0] == "slow", "one of two instances"
    gone = silent(picture(), "no answer", {**READY, "payment_svc": "it does not answer"}, NOW)
    assert of(gone)[0] == "down" and of(gone, "order_svc")[0] == "ok"


def test_dead_letters_that_somebody_holds_are_counted() -> None:
    assert picture({"order_svc.dead": Traffic(3, 2, 0, 0.0, 0.0)}).dead == 5
    assert picture({"order_svc.dead": UNKNOWN}).dead is None


def test_a_missing_queue_is_named() -> None:
    without = {name: traffic for name, traffic in ALL.items() if name not in ("journal", "user_svc.dead")}
    assert told(Counted(without, ()), READY, NOW).missing == ["journal", "user_svc.dead"]


# The map


def test_every_service_has_a_place_of_its_own_on_the_map() -> None:
    assert drawing.PLACES.keys() == HEARERS.keys()
    assert len(set(drawing.PLACES.values())) == len(HEARERS)
    for box in drawing.boxes():
        assert box.x + drawing.BOX_WIDTH <= drawing.WIDTH + 2 and box.y + drawing.BOX_HEIGHT <= drawing.HEIGHT + 2


def test_the_ways_are_those_of_the_switchboards() -> None:
    ways = {(way.said_by, way.heard_by): way.types for way in drawing.ways()}
    assert ways["gateway", "order_svc"] == ("PlaceOrder", "CancelOrder"), "what the gateway may ask for"
    assert "StockReserved" in ways["inventory_svc", "payment_svc"]
    assert not any(said_by == heard_by for said_by, heard_by in ways), "what one tells oneself is no way"
    assert ("notification_svc", "order_svc") not in ways


def test_no_line_crosses_a_box_that_it_does_not_belong_to() -> None:
    for line in drawing.lines():
        (x1, y1), (x2, y2) = line.start, line.end
        for box in drawing.boxes():
            if box.name in (line.way.said_by, line.way.heard_by):
                continue
            for part in range(1, 100):
                x, y = x1 + (x2 - x1) * part / 100, y1 + (y2 - y1) * part / 100
                inside = box.x < x < box.x + drawing.BOX_WIDTH and box.y < y < box.y + drawing.BOX_HEIGHT
                assert not inside, f"{line.way.said_by} to {line.way.heard_by} runs through {box.name}"


# On the page


async def test_the_map_says_unknown_and_since_when(desk: DeskInMemory) -> None:
    assert "as of" in await desk.page("/ops")
    desk.broker.counts_away = True
    await desk.desk.watch.look()
    page = await desk.page("/ops")
    assert "unknown since" in page and "unknown up" in page
    assert ' data-label="Wait">unknown<' in page and ' data-label="Wait">0<' not in page


async def test_one_poller_asks_for_all_viewers() -> None:
    async with at_work(poll_s=1000.0) as desk:
        for _ in range(20):
            await desk.page("/ops")
        assert desk.broker.polls == 1, "by the clock only"


@pytest.mark.parametrize("name", ["payment_svc.events", "retry.5s", "audit"])
async def test_each_queue_leads_to_rabbitmqs_own_page(desk: DeskInMemory, name: str) -> None:
    assert f'href="http://rabbit:15672/#/queues/journey/{name}"' in await desk.page("/ops")
    assert "s3cret" not in await desk.page("/ops")
