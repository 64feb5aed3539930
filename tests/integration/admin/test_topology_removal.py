"""What a topology no longer names is removed from a real broker, and no message is lost."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime
from uuid import uuid4

import pytest

from chassis.bus.protocol import Delivery
from chassis.bus.rabbitmq import RabbitBus
from chassis.bus.retry_ladder import RetryLadder, Rung
from chassis.bus.topology import build
from chassis.bus.topology_model import Topology
from chassis.messaging.envelope import OPERATOR, WireMessage, wrap
from chassis.runtime import Runtime
from chassis.store.memory import MemoryStore
from journey.admin.broker.management import BrokerAdmin, derived_passwords
from journey.admin.broker.removal import Removal, find_surplus
from tests.support import second_system
from tests.support.eventually import until
from tests.support.infrastructure import VirtualHost
from tests.support.recording_consumer import WAIT_S_MAX, Inbox
from tests.support.second_system import CATALOG, TicketBought

pytestmark = pytest.mark.real

QUEUE = "seat_svc.events"
NAMES = CATALOG.names
RUNG = Rung("theatre_rung", 2_000)
LADDER = RetryLadder((RUNG,))
BEFORE = build(
    (
        replace(second_system.ticket_service(), retry_ladder=LADDER),
        replace(second_system.seat_service(), retry_ladder=LADDER),
    )
)
AFTER = build((replace(second_system.ticket_service(), retry_ladder=LADDER),))
"""The later topology: seat_svc has been given up."""


@pytest.fixture
def topology() -> Topology:
    return BEFORE


@pytest.fixture
async def admin(vhost: VirtualHost) -> AsyncIterator[BrokerAdmin]:
    async with vhost.admin as admin:
        yield admin
        for user in {each.name for each in BEFORE.users} - {OPERATOR}:
            await admin.ask("DELETE", f"users/{user}", missing_ok=True)


@pytest.fixture
async def removal(vhost: VirtualHost, admin: BrokerAdmin) -> Removal:
    """Of what BEFORE has and AFTER has not."""
    await admin.apply(AFTER, vhost.name, derived_passwords(BEFORE, vhost.management_url))
    return Removal(admin, AFTER, vhost.name, vhost.url(OPERATOR))


@pytest.fixture
async def operator(vhost: VirtualHost) -> AsyncIterator[RabbitBus]:
    bus = RabbitBus(vhost.url(OPERATOR))
    await bus.start()
    yield bus
    await bus.stop()


def bought(number: int = 0) -> WireMessage:
    event = TicketBought(number=number)
    return wrap(event, id=str(uuid4()), source="test", now=datetime.now(UTC)).wire_message(CATALOG)


async def publish(bus: RabbitBus, *wire_messages: WireMessage) -> None:
    assert not any(await bus.publish(wire_messages))


async def of_seat_svc(removal: Removal) -> set[str]:
    """The names of all that the broker has of seat_svc."""
    found = await removal.admin.ask("GET", f"definitions/{removal.vhost}")
    bindings = [f"{each['source']} -> {each['destination']}" for each in found["bindings"]]
    names = [each["name"] for part in ("queues", "policies") for each in found[part]]
    return {name for name in [*bindings, *names] if "seat_svc" in name}


async def test_an_empty_and_unused_queue_is_removed_with_its_policies(removal: Removal) -> None:
    surplus = await find_surplus(removal.admin, AFTER, removal.vhost)
    assert next(iter(surplus.steps())) == (
        f"1. unbind {QUEUE} from {NAMES.events}, routing key {TicketBought.TYPE}"
    )
    assert f"2. delete queue {QUEUE}, once it is empty and unused" in set(surplus.steps())
    assert await removal.run() == []
    assert not await find_surplus(removal.admin, AFTER, removal.vhost)
    assert await of_seat_svc(removal) == set()
    assert await removal.admin.plan(AFTER, removal.vhost) == []


async def test_a_queue_with_messages_is_unbound_and_stays(removal: Removal, operator: RabbitBus) -> None:
    await publish(operator, bought())
    dead = "seat_svc.dead"
    left = await removal.run()
    assert f"queue {QUEUE} stays: 1 message" in left
    assert f"queue {dead} stays: {QUEUE} must go first" in left
    await publish(operator, bought())  # the journal takes it
    assert f"queue {QUEUE} stays: 1 message" in await removal.run()
    kept = await of_seat_svc(removal)
    assert {QUEUE, dead, "seat_svc", f"{NAMES.dead} -> {dead}"} <= kept
    assert f"{NAMES.events} -> {QUEUE}" not in kept


async def test_a_queue_with_a_consumer_stays(removal: Removal, vhost: VirtualHost) -> None:
    bus = RabbitBus(vhost.url("seat_svc"))
    await bus.start()
    await bus.subscribe(QUEUE, 10, Inbox())
    assert f"queue {QUEUE} stays: 1 consumer" in await removal.run()
    await bus.stop()
    await until(removal.run, lambda left: left == [], within_s=WAIT_S_MAX)


async def test_draining_waits_for_the_consumers_and_loses_nothing(
    removal: Removal, vhost: VirtualHost, operator: RabbitBus
) -> None:
    await publish(operator, *(bought(number) for number in range(100, 150)))
    handled: list[str | None] = []
    reports: list[str] = []
    draining = asyncio.create_task(removal.run(drain_s=60, report=reports.append))
    await until(lambda: any("50 messages" in each for each in reports), within_s=WAIT_S_MAX)

    bus = RabbitBus(vhost.url("seat_svc"))
    await bus.start()
    acks: set[asyncio.Task[None]] = set()

    def take(delivery: Delivery) -> None:
        handled.append(delivery.wire_message.message_id)
        acks.add(asyncio.create_task(delivery.ack()))

    await bus.subscribe(QUEUE, 10, take)
    await until(lambda: any(f"{QUEUE}: 1 consumer" in each for each in reports), within_s=WAIT_S_MAX)
    assert not draining.done()
    await asyncio.gather(*acks)
    await bus.stop()
    assert await draining == []
    assert len(set(handled)) == 50
    assert await of_seat_svc(removal) == set()


async def test_a_message_on_the_retry_ladder_is_not_lost(removal: Removal, operator: RabbitBus) -> None:
    """It is in the retry queue, and returns to the queue that nothing is bound to."""
    await publish(operator, replace(bought(), exchange=RUNG.name, routing_key=QUEUE))
    left = await removal.run()
    assert any(each.startswith(f"queue {QUEUE} stays: perhaps messages on the retry ladder") for each in left)
    left = await removal.run(drain_s=RUNG.delay_ms / 1000 + 2)
    assert f"queue {QUEUE} stays: 1 message" in left


async def test_waiting_ends_after_its_time(removal: Removal, operator: RabbitBus) -> None:
    await publish(operator, bought())
    reports: list[str] = []
    assert f"queue {QUEUE} stays: 1 message" in await removal.run(drain_s=2, report=reports.append)
    assert any(f"{QUEUE}: 1 message" in each for each in reports)


async def test_streams_clients_and_other_systems_stay(removal: Removal) -> None:
    admin, vhost = removal.admin, removal.vhost
    durable = {"durable": True, "arguments": {"x-queue-type": "quorum"}}
    await admin.ask("PUT", f"queues/{vhost}/{NAMES.client}.inbox", json=durable)
    await admin.ask("PUT", f"queues/{vhost}/opera.events", json=durable)
    await admin.ask("PUT", f"queues/{vhost}/old", json={**durable, "arguments": {"x-queue-type": "stream"}})
    removal.keep = ("opera.",)
    assert await removal.run(drain_s=5) == [
        "queue old stays: a stream keeps its messages; delete it by hand if they are not needed"
    ]
    assert {f"{NAMES.client}.inbox", "opera.events", "old"} <= (await admin.depths(vhost)).keys()
    await admin.delete_queue(vhost, "old")
    assert await removal.run() == []  # now the policies, too
    assert not await find_surplus(admin, AFTER, vhost, ("opera.",))


async def test_a_service_in_use_is_not_touched(removal: Removal, vhost: VirtualHost) -> None:
    service = replace(second_system.ticket_service(), retry_ladder=LADDER)
    runtime = Runtime(service, RabbitBus(vhost.url("ticket_svc")), MemoryStore())
    await runtime.start()
    assert await removal.run() == []
    assert await removal.admin.plan(AFTER, removal.vhost) == []
    await runtime.stop()
