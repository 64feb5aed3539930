"""Partitions of an input queue: each test runs on the in-memory broker and on RabbitMQ."""

from collections.abc import AsyncIterator
from dataclasses import replace
from uuid import UUID, uuid4

import pytest

from chassis.bus.partitioning import partitioned
from chassis.bus.retry_ladder import RetryLadder
from chassis.bus.topology import build
from chassis.bus.topology_model import Topology
from chassis.messaging.envelope import WireMessage
from chassis.messaging.partitions import partition_queues
from journey.admin.registry import CONSUMING_SERVICES
from tests.support import brokers
from tests.support.brokers import Broker, InMemory
from tests.support.eventually import until
from tests.support.infrastructure import DELAY_SCALE
from tests.support.order_neighbours import exchanging_with_order_svc
from tests.support.recording_consumer import WAIT_S_MAX, Inbox, placed

PARTITIONS = partition_queues("inventory_svc.events", 3)
WHOLE = "payment_svc.events"


@pytest.fixture
def topology() -> Topology:
    services = (CONSUMING_SERVICES[name]() for name in exchanging_with_order_svc())
    return partitioned(build(services, DELAY_SCALE), {"inventory_svc": 3})


@pytest.fixture
async def in_memory(topology: Topology) -> AsyncIterator[InMemory]:
    async with brokers.in_memory(topology) as made:
        yield made


async def consuming(broker: Broker) -> dict[str, Inbox]:
    """One instance, which consumes every partition."""
    bus, inboxes = await broker.bus("inventory_svc"), {name: Inbox() for name in PARTITIONS}
    for queue, inbox in inboxes.items():
        await bus.subscribe(queue, 10, inbox)
    return inboxes


def ids_in(inboxes: dict[str, Inbox]) -> list[str | None]:
    return [id_ for inbox in inboxes.values() for id_ in inbox.ids]


async def all_arrive_once(wire_messages: list[WireMessage], inboxes: dict[str, Inbox]) -> None:
    await until(lambda: len(ids_in(inboxes)), lambda count: count >= len(wire_messages), within_s=WAIT_S_MAX)
    assert sorted(map(str, ids_in(inboxes))) == sorted(str(each.message_id) for each in wire_messages)


async def test_messages_of_one_aggregate_stay_in_one_partition_in_order(broker: Broker) -> None:
    inboxes, orders = await consuming(broker), [UUID(int=number) for number in range(1, 61)]
    wire_messages = [placed(order) for _ in range(5) for order in orders]
    assert await (await broker.bus("order_svc")).publish(wire_messages) == [None] * len(wire_messages)
    await all_arrive_once(wire_messages, inboxes)
    for order in orders:
        sent = [each.message_id for each in wire_messages if each.headers["subject"] == str(order)]
        arrived = [
            [each.message_id for each in inbox.wire_messages if each.headers["subject"] == str(order)]
            for inbox in inboxes.values()
        ]
        assert sorted(arrived) == [[], [], sent]


async def test_aggregates_are_distributed_over_all_partitions(broker: Broker) -> None:
    """60 of 300 is far from what a fair hash gives by chance: fewer than 60 of them in one."""
    inboxes, wire_messages = await consuming(broker), [placed(uuid4()) for _ in range(300)]
    assert await (await broker.bus("order_svc")).publish(wire_messages) == [None] * 300
    await all_arrive_once(wire_messages, inboxes)
    assert min(len(inbox.ids) for inbox in inboxes.values()) >= 60


async def test_a_message_without_a_subject_reaches_one_partition(broker: Broker) -> None:
    inboxes = await consuming(broker)
    wire_messages = [replace(placed(), headers={}) for _ in range(10)]
    assert await (await broker.bus("order_svc")).publish(wire_messages) == [None] * 10
    await all_arrive_once(wire_messages, inboxes)


async def test_a_service_without_partitions_gets_the_same_messages(broker: Broker) -> None:
    inboxes, other, wire_messages = await consuming(broker), Inbox(), [placed() for _ in range(20)]
    await (await broker.bus("payment_svc")).subscribe(WHOLE, 10, other)
    assert await (await broker.bus("order_svc")).publish(wire_messages) == [None] * 20
    await all_arrive_once(wire_messages, inboxes)
    await other.has(20)
    assert other.ids == [each.message_id for each in wire_messages]


async def test_a_message_keeps_its_exchange_and_routing_key(broker: Broker) -> None:
    """Consumers check both against the type."""
    inboxes, wire_message = await consuming(broker), placed()
    assert await (await broker.bus("order_svc")).publish([wire_message]) == [None]
    await all_arrive_once([wire_message], inboxes)
    [arrived] = [each for inbox in inboxes.values() for each in inbox.wire_messages]
    assert (arrived.exchange, arrived.routing_key) == ("events", "order.placed.v1")
    assert arrived.user_id == "order_svc"


@pytest.mark.parametrize("queue", PARTITIONS)
async def test_the_retry_ladder_returns_a_message_to_its_partition(broker: Broker, queue: str) -> None:
    inboxes = await consuming(broker)
    wire_message = placed().with_route(RetryLadder().names[0], queue)
    assert await (await broker.bus("inventory_svc")).publish([wire_message]) == [None]
    await inboxes[queue].has(1)
    assert ids_in(inboxes) == [wire_message.message_id]
