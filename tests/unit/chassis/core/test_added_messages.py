"""Messages that the release before does not know have queues that its instances do not consume."""

import asyncio
from collections.abc import Iterator

import pytest

from chassis import telemetry
from chassis.core import inbox
from chassis.messaging.envelope import WireMessage
from chassis.messaging.message import Message
from tests.support.two_releases import Earlier, Later, MixedSystem, in_virtual_time, publish, sent

A_DAY_S = 24 * 3_600


@pytest.fixture(autouse=True)
def quiet() -> None:
    telemetry.configure("critical", pretty=False)


ADDED = (Later.TicketReturned, Later.TicketBought)


@pytest.fixture
def dead_letters_unknown_types(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every instance does what one of release 0.1.0 does: it dead-letters a type that it does not know."""
    monkeypatch.setattr(inbox, "why_other_release", lambda wire_message, service: "")


@pytest.mark.parametrize("added", [ADDED, ()], ids=["added", "not added"])
@pytest.mark.usefixtures("dead_letters_unknown_types")
def test_an_earlier_instance_never_receives_an_added_message(added: tuple[type[Message], ...]) -> None:
    """An update, a rollback and another update, while such messages are published."""

    async def story(system: MixedSystem) -> None:
        earlier = await system.start(Earlier.seat_service())
        for number in range(0, 60, 20):
            later = await system.start(Later.seat_service(added))
            await publish(system, "ticket_svc", *tickets(number, number + 10))
            await asyncio.sleep(1)
            await earlier.stop()
            earlier = await system.start(Earlier.seat_service())
            await later.stop()
            await publish(system, "ticket_svc", *tickets(number + 10, number + 20))
            await asyncio.sleep(60)
        await system.start(Later.seat_service(added))
        await asyncio.sleep(60)
        assert bool(system.dead) is not bool(added)
        if added:
            assert [await system.seats_of(n) for n in range(60)] == [{"taken": 2, "returned": True}] * 60

    in_virtual_time(story, added)


def tickets(first: int, end: int) -> Iterator[WireMessage]:
    for number in range(first, end):
        yield sent(Later.TicketBought(number=number, seats=2), f"bought-{number}")
        yield sent(Later.TicketReturned(number=number), f"returned-{number}")


def test_an_added_message_returns_from_the_ladder_to_its_queue(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    failures = iter([RuntimeError("for now")])
    after = Later.Seats.after

    def fails_once(state: Later.Seats, message: Message) -> Later.Seats:
        for failure in failures:
            raise failure
        return after(state, message)

    monkeypatch.setattr(Later.Seats, "after", fails_once)

    async def story(system: MixedSystem) -> None:
        later = await system.start(Later.seat_service(ADDED))
        await publish(system, "ticket_svc", sent(Later.TicketReturned(number=1)))
        await asyncio.sleep(1)
        await later.stop()
        await system.start(Earlier.seat_service())
        await asyncio.sleep(A_DAY_S)
        [waiting] = system.broker.queues["seat_svc.events.added"]
        assert waiting.attempt == 1
        await system.start(Later.seat_service(ADDED))
        await asyncio.sleep(1)
        assert await system.seats_of(1) == {"taken": 0, "returned": True} and not system.dead

    in_virtual_time(story, ADDED)


def test_an_added_message_needs_an_aggregate_that_handles_it() -> None:
    with pytest.raises(TypeError, match="seat_svc: no aggregate handles BuyTicket; remove it from `added`"):
        Later.seat_service((Later.BuyTicket,))
