"""Two systems with different names share one virtual host: the shop, and tests/support/second_system.py."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime
from uuid import uuid4

import aio_pika
import pytest
from aio_pika.abc import AbstractChannel, AbstractIncomingMessage

from chassis.bus.protocol import AccessRefused
from chassis.bus.rabbitmq import RabbitBus
from chassis.bus.topology_model import Topology
from chassis.core.definition import ServiceDefinition
from chassis.messaging.envelope import WireMessage, wrap
from chassis.messaging.senders import OPERATOR
from chassis.runtime import Runtime
from chassis.store.memory import MemoryStore
from contracts.catalog import NAMES as SHOP
from journey.admin.broker.management import derived_passwords
from journey.admin.registry import shop_topology
from tests.support import second_system
from tests.support.infrastructure import VirtualHost
from tests.support.recording_consumer import WAIT_S_MAX, Inbox
from tests.support.second_system import CATALOG, LADDER, PREFIX, BuyTicket, SeatTaken, TicketBought

pytestmark = pytest.mark.real

NAMES = CATALOG.names
INBOX = f"{NAMES.client}.inbox"
PROBE = "mark"


@pytest.fixture
def topology() -> Topology:
    return shop_topology()


@pytest.fixture
async def second(vhost: VirtualHost) -> AsyncIterator[VirtualHost]:
    """The second system, applied to the virtual host of the shop."""
    applied = replace(
        vhost,
        topology=second_system.TOPOLOGY,
        passwords=derived_passwords(second_system.TOPOLOGY, vhost.management_url),
    )
    await applied.apply()
    yield applied
    async with applied.admin as admin:
        for user in {each.name for each in second_system.TOPOLOGY.users} - {OPERATOR}:
            await admin.ask("DELETE", f"users/{user}")


@asynccontextmanager
async def running(second: VirtualHost, *services: ServiceDefinition) -> AsyncIterator[None]:
    async with AsyncExitStack() as stack:
        for service in services:
            runtime = Runtime(service, RabbitBus(second.url(service.name)), MemoryStore())
            await runtime.start()
            stack.push_async_callback(runtime.stop)
        yield


@asynccontextmanager
async def client(second: VirtualHost) -> AsyncIterator[tuple[RabbitBus, Inbox]]:
    """The second system's client. It reads the events from the exchange of clients."""
    connection = await aio_pika.connect(second.url(NAMES.client))
    channel = await connection.channel()
    queue = await channel.declare_queue(INBOX, durable=True, arguments={"x-queue-type": "quorum"})
    await queue.bind(await channel.get_exchange(NAMES.client_events, ensure=False), "#")
    await connection.close()
    bus, inbox = RabbitBus(second.url(NAMES.client)), Inbox()
    await bus.start()
    await bus.subscribe(INBOX, 10, inbox)
    yield bus, inbox
    await bus.stop()


def bought(number: int) -> WireMessage:
    command = BuyTicket(number=number)
    return wrap(command, id=str(uuid4()), source="test", now=datetime.now(UTC)).wire_message(CATALOG)


async def test_messages_retries_and_dead_letters_keep_to_their_system(second: VirtualHost) -> None:
    services = second_system.ticket_service(), second_system.seat_service()
    async with running(second, *services), client(second) as (bus, inbox):
        assert await bus.publish([bought(number) for number in range(3)]) == [None] * 3
        await inbox.has(5)
        types = sorted(
            (wire_message.type, wire_message.headers["subject"]) for wire_message in inbox.wire_messages
        )
        seats, tickets = [(SeatTaken.TYPE, n) for n in "01"], [(TicketBought.TYPE, n) for n in "012"]
        assert types == seats + tickets
        dead = Inbox()
        await bus.stop()
        await (operator := RabbitBus(second.url(OPERATOR))).start()
        await operator.subscribe("seat_svc.dead", 10, dead)
        await dead.has(1)
        await operator.stop()
    [dead_letter] = dead.wire_messages
    assert (dead_letter.exchange, dead_letter.routing_key) == (NAMES.dead, "seat_svc")
    assert dead_letter.headers["origin_exchange"] == NAMES.events
    assert dead_letter.headers["attempt"] == LADDER.attempts_max
    assert "no seat for ticket 2" in dead_letter.headers["error"]


async def first_type(channel: AbstractChannel, stream: str) -> str | None:
    """The type of the first message in a stream: PROBE if it was empty."""
    await channel.default_exchange.publish(aio_pika.Message(b"", type=PROBE), stream)
    arrived: asyncio.Queue[AbstractIncomingMessage] = asyncio.Queue()
    queue = await channel.get_queue(stream, ensure=False)
    await queue.consume(arrived.put, arguments={"x-stream-offset": "first"})
    return (await asyncio.wait_for(arrived.get(), WAIT_S_MAX)).type


async def test_each_system_has_a_journal_of_its_own(second: VirtualHost) -> None:
    async with running(second, second_system.ticket_service()), client(second) as (bus, inbox):
        assert await bus.publish([bought(0)]) == [None]
        await inbox.has(1)
    async with await aio_pika.connect(second.url(OPERATOR)) as connection:
        channel = await connection.channel()
        await channel.set_qos(prefetch_count=10)
        assert await first_type(channel, NAMES.journal) == TicketBought.TYPE
        assert await first_type(channel, SHOP.journal) == PROBE


async def test_a_client_has_no_rights_in_another_system(vhost: VirtualHost, second: VirtualHost) -> None:
    bus = RabbitBus(vhost.url(SHOP.client))
    await bus.start()
    [error] = await bus.publish([bought(0)])
    assert isinstance(error, AccessRefused)
    await bus.stop()


async def test_plan_finds_what_is_missing_in_one_system(vhost: VirtualHost, second: VirtualHost) -> None:
    async with second.admin as admin:

        async def plans() -> tuple[list[str], list[str]]:
            """Without the objects that are extra because they belong to the other system."""
            found = [await admin.plan(each.topology, vhost.name) for each in (vhost, second)]
            shops, seconds = ([text for text in plan if " is extra" not in text] for plan in found)
            return shops, seconds

        assert await plans() == ([], [])
        await admin.ask("DELETE", f"queues/{vhost.name}/{NAMES.unroutable}")
        await admin.ask("DELETE", f"policies/{vhost.name}/{PREFIX}dead%20letters")
        shops, seconds = await plans()
        assert shops == []
        assert f"queue {NAMES.unroutable} is missing" in seconds
        assert f"policy {PREFIX}dead letters is missing" in seconds
        await second.apply()
        assert await plans() == ([], [])
