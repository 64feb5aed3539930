"""Two releases of a service side by side: each handles what it can, and leaves the rest to the other."""

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from chassis import telemetry
from chassis.core.retry import OTHER_RELEASE_WAITS_MAX
from chassis.messaging.envelope import wrap
from chassis.messaging.message import Command, Event, Message, Owner
from chassis.store.protocol import Change, Handled
from tests.support.pending_message_factory import NOW
from tests.support.two_releases import Earlier, Later, MixedSystem, in_virtual_time, publish, sent

pytestmark = pytest.mark.usefixtures("quiet")
A_DAY_S = 24 * 3_600


@pytest.fixture
def quiet() -> None:
    telemetry.configure("critical", pretty=False)


def test_a_new_version_waits_for_an_instance_that_reads_it() -> None:
    async def story(system: MixedSystem) -> None:
        await system.start(Earlier.seat_service())
        await publish(system, "ticket_svc", sent(Later.TicketBought(number=1, seats=3)))
        await asyncio.sleep(3_600)
        assert await system.seats_of(1) is None and not system.dead
        await system.start(Later.seat_service())
        await asyncio.sleep(300)
        assert await system.seats_of(1) == {"taken": 3, "returned": False} and not system.dead

    in_virtual_time(story)


def test_a_newer_instance_takes_a_new_version_within_a_minute() -> None:
    async def story(system: MixedSystem) -> None:
        await system.start(Earlier.seat_service())
        await system.start(Later.seat_service())
        bought = [sent(Later.TicketBought(number=n, seats=2), f"m-{n}") for n in range(40)]
        await publish(system, "ticket_svc", *bought)
        await asyncio.sleep(60)
        assert [await system.seats_of(n) for n in range(40)] == [{"taken": 2, "returned": False}] * 40
        assert not system.dead

    in_virtual_time(story)


def test_an_old_version_is_upcast_for_the_decider() -> None:
    async def story(system: MixedSystem) -> None:
        await system.start(Later.seat_service())
        await publish(system, "ticket_svc", sent(Earlier.TicketBought(number=1)))
        await asyncio.sleep(1)
        assert await system.seats_of(1) == {"taken": 1, "returned": False}

    in_virtual_time(story)


def test_an_upcaster_that_fails_makes_one_dead_letter() -> None:
    async def story(system: MixedSystem) -> None:
        await system.start(Later.seat_service())
        events = [sent(Earlier.TicketBought(number=number), f"m{number}") for number in (-1, 1)]
        await publish(system, "ticket_svc", *events)
        await asyncio.sleep(1)
        assert await system.seats_of(1) == {"taken": 1, "returned": False}
        [error] = system.dead
        assert "TicketBought.upcast in tests/support/two_releases.py raised LookupError" in error

    in_virtual_time(story)


def test_a_message_unknown_to_every_release_is_dead_lettered_later() -> None:
    async def story(system: MixedSystem) -> None:
        await system.start(Earlier.seat_service())
        await publish(system, "ticket_svc", sent(Later.TicketReturned(number=1)))
        await asyncio.sleep(A_DAY_S - 60)
        assert not system.dead
        await asyncio.sleep(300)
        [error] = system.dead
        assert "'ticket.returned.v1' is unknown to this release of seat_svc" in error

    in_virtual_time(story)
    assert OTHER_RELEASE_WAITS_MAX > 1_000


def test_known_messages_that_one_release_does_not_handle_wait() -> None:
    async def story(system: MixedSystem) -> None:
        service = Later.seat_service()
        [seats] = service.aggregates
        without = replace(service, aggregates=(replace(seats, handles=(Later.TicketBought,)),))
        await system.start(without)
        await publish(system, "ticket_svc", sent(Later.TicketReturned(number=1)))
        await asyncio.sleep(3_600)
        assert not system.dead
        await system.start(service)
        await asyncio.sleep(300)
        assert await system.seats_of(1) == {"taken": 0, "returned": True} and not system.dead

    in_virtual_time(story)


@pytest.mark.parametrize(
    "changes",
    [
        {"type": "ticket.bought.v9"},
        {"type": "ticket.bought.v9", "headers": {"origin_key": "ticket.bought.v9"}},
        {"type": "ticket.bought"},
    ],
)
def test_a_type_under_a_foreign_key_is_dead_lettered(changes: dict[str, Any]) -> None:
    """Such a message was not routed by a binding of another release."""

    async def story(system: MixedSystem) -> None:
        await system.start(Earlier.seat_service())
        wire_message = replace(sent(Earlier.TicketBought(number=1)), **changes)
        await publish(system, "ticket_svc", wire_message)
        await asyncio.sleep(1)
        [error] = system.dead
        assert "unknown message type" in error

    in_virtual_time(story)


def test_stored_messages_of_a_newer_release_wait_for_it() -> None:
    """The newer ticket_svc stored its event and was rolled back before it acknowledged the command."""

    async def story(system: MixedSystem) -> None:
        buying = sent(Later.BuyTicket(number=1))
        newer = await system.start(Later.ticket_service())
        await publish(system, "client", buying)
        await asyncio.sleep(1)
        await newer.kill()
        system.broker.tapped.clear()
        older = await system.start(Earlier.ticket_service())
        await publish(system, "client", buying)  # as the broker redelivers it
        await asyncio.sleep(600)
        assert not older.crashed.done() and not system.dead
        await older.stop()
        await system.start(Later.ticket_service())
        await asyncio.sleep(300)
        published = [each.type for each in system.broker.tapped if each.exchange == "events"]
        assert published == ["ticket.bought.v2"] and not system.dead

    in_virtual_time(story)


def test_the_sweeper_leaves_messages_of_a_newer_release_to_it() -> None:
    async def story(system: MixedSystem) -> None:
        event = wrap(Later.TicketBought(number=1, seats=2), id="m-2", source="ticket_svc", now=NOW)
        handled = Handled("m-1", "Buy", NOW, ("", ""), (event,))
        await system.tickets.start(Later.ticket_service().kinds)
        loaded = (await system.tickets.load("tickets", ["1"]))["1"]
        assert await system.tickets.save([Change(loaded, {"seats": 2}, [handled], unpublished=True)])
        older = await system.start(Earlier.ticket_service())
        await asyncio.sleep(600)
        assert not older.crashed.done() and older.background_error is None and not system.broker.tapped
        await system.start(Later.ticket_service())
        await asyncio.sleep(600)
        assert [each.type for each in system.broker.tapped] == ["ticket.bought.v2"]

    in_virtual_time(story)


def test_an_older_instance_keeps_fields_that_it_does_not_know() -> None:
    async def story(system: MixedSystem) -> None:
        newer = await system.start(Later.ticket_service())
        await publish(system, "client", sent(Later.BuyTicket(number=1, seats=5)))
        await asyncio.sleep(1)
        await newer.stop()
        older = await system.start(Earlier.ticket_service())
        await publish(system, "client", sent(Later.BuyTicket(number=1), "m-2"))
        await publish(system, "client", sent(Later.BuyTicket(number=1), "m-3"))  # on the cached document
        await asyncio.sleep(1)
        await older.stop()
        assert (await system.tickets.load("tickets", ["1"]))["1"].state == {"times_bought": 3, "seats": 5}
        await system.start(Later.ticket_service())
        await publish(system, "client", sent(Later.BuyTicket(number=1, seats=1), "m-4"))
        await asyncio.sleep(1)
        assert (await system.tickets.load("tickets", ["1"]))["1"].state == {"times_bought": 4, "seats": 6}

    in_virtual_time(story)


def test_bindings_exist_for_all_versions_that_a_service_reads() -> None:
    assert set(Later.seat_service().by_type) == {
        Later.TicketBoughtV1,
        Later.TicketBought,
        Later.TicketReturned,
    }


SHOP = Owner("shop", service="shop_svc")


class Opened(Event, owner=SHOP, type="shop.opened.v2", subject="name"):
    name: str


@pytest.mark.parametrize(
    ("type_", "base", "named"),
    [
        ("shop.opened.v2", Event, "no later version of 'shop.opened.v2'"),
        ("shop.opened.v1", Event, "no later version"),
        ("shop.closed.v3", Event, "no later version"),
        ("shop.opened.v3", Command, "an event in all versions"),
        ("shop.opened.v3", Event, "define the class method `upcast` in tests/"),
    ],
)
def test_a_wrong_version_names_what_to_write(type_: str, base: type[Message], named: str) -> None:
    with pytest.raises(TypeError, match="New") as error:
        type(
            "New", (base,), {"__module__": "tests.x"}, type=type_, subject="name", owner=SHOP, upcasts=Opened
        )
    assert named in str(error.value)
    assert dict(SHOP.messages) == {"shop.opened.v2": Opened}


def test_the_sweeper_publishes_messages_of_an_unreadable_state() -> None:
    """The messages are known to this release; only the state is not."""

    async def story(system: MixedSystem) -> None:
        event = wrap(Earlier.TicketBought(number=1), id="m-2", source="ticket_svc", now=NOW)
        handled = Handled("m-1", "Buy", NOW, ("", ""), (event,))
        await system.tickets.start(Earlier.ticket_service().kinds)
        loaded = (await system.tickets.load("tickets", ["1"]))["1"]
        unreadable = {"times_bought": {"by": "a newer release"}}
        assert await system.tickets.save([Change(loaded, unreadable, [handled], unpublished=True)])
        older = await system.start(Earlier.ticket_service())
        await asyncio.sleep(600)
        assert [each.type for each in system.broker.tapped] == [Earlier.TicketBought.TYPE]
        assert not older.crashed.done() and older.background_error is None

    in_virtual_time(story)
