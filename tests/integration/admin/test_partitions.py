"""Partitions on a real broker: instances come and go, and the number changes while messages wait."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from chassis.bus.aiormq_frames import aiormq_connection
from chassis.bus.rabbitmq import RabbitBus
from chassis.bus.topology import build
from chassis.bus.topology_model import Topology
from chassis.messaging.envelope import OPERATOR
from chassis.messaging.partitions import partition_queues
from journey.admin.broker import partition_bindings
from journey.admin.broker.management import AdminUnavailable
from journey.admin.broker.removal import Removal
from journey.admin.dead_letters.reader import connected
from journey.admin.partitions import with_partitions
from order_svc.service import order_service
from product_svc.service import product_service
from tests.support.eventually import until
from tests.support.infrastructure import DELAY_SCALE, VirtualHost
from tests.support.price_instances import WAIT_S_MAX, PriceInstances

pytestmark = pytest.mark.real

EVENTS = partition_queues("order_svc.events", 3)
ONE = build((order_service(), product_service()), DELAY_SCALE)
TWO, THREE = (with_partitions(ONE, f"order_svc={number}") for number in (2, 3))


@pytest.fixture
def topology(request: pytest.FixtureRequest) -> Topology:
    """By default with three partitions."""
    return getattr(request, "param", THREE)


@pytest.fixture
async def prices(vhost: VirtualHost) -> AsyncIterator[PriceInstances]:
    made = PriceInstances(lambda user: RabbitBus(vhost.url(user)))
    yield made
    await made.stop()


async def waiting(vhost: VirtualHost) -> list[int]:
    """Messages that are ready in each partition of the events; 0 for a missing one."""
    counts = []
    async with connected(vhost.url(OPERATOR)) as connection:
        for queue in EVENTS:
            async with aiormq_connection.broker_call(WAIT_S_MAX):
                channel = await connection.channel()
                try:
                    declared = await channel.queue_declare(queue, passive=True)
                    counts.append(declared.message_count or 0)
                    await channel.close()
                except aiormq_connection.REFUSED_BY_BROKER:
                    counts.append(0)
    return counts


async def consumers(vhost: VirtualHost) -> set[int | None]:
    async with vhost.admin as admin:
        depths = await admin.depths(vhost.name)
    return {depths[queue].consumers for queue in EVENTS}


async def apply(vhost: VirtualHost, topology: Topology) -> None:
    async with vhost.admin as admin:
        await admin.apply(topology, vhost.name, vhost.passwords)


async def removed(vhost: VirtualHost, topology: Topology, drain_s: float = 0.0) -> list[str]:
    """Remove what the topology no longer names. Returns what stays."""
    async with vhost.admin as admin:
        return await Removal(admin, topology, vhost.name, vhost.url(OPERATOR)).run(drain_s=drain_s)


async def drift(vhost: VirtualHost, topology: Topology) -> list[str]:
    async with vhost.admin as admin:
        return [each for each in await admin.plan(topology, vhost.name) if not each.startswith("user ")]


async def test_instances_come_and_go_and_share_the_messages(
    vhost: VirtualHost, prices: PriceInstances
) -> None:
    first = await prices.start()
    await prices.send(100)
    await prices.all_are_handled()
    second = await prices.start()
    await until(lambda: consumers(vhost), lambda counts: counts == {2}, within_s=WAIT_S_MAX)
    await prices.share_fairly([first, second])

    await prices.send(300)
    await prices.running[first].kill()
    await prices.all_are_handled()
    await until(lambda: consumers(vhost), lambda counts: counts == {1}, within_s=WAIT_S_MAX)
    await prices.share_fairly([second])
    await until(lambda: waiting(vhost), lambda counts: counts == [0, 0, 0], within_s=WAIT_S_MAX)


async def test_partitions_get_similar_numbers_of_messages(vhost: VirtualHost, prices: PriceInstances) -> None:
    await prices.send(300)
    counts = await waiting(vhost)
    assert sum(counts) == 300 and min(counts) >= 60


async def test_applying_twice_changes_nothing(vhost: VirtualHost, prices: PriceInstances) -> None:
    assert await drift(vhost, THREE) == []
    await apply(vhost, THREE)
    assert await drift(vhost, THREE) == []
    await prices.send(300)
    assert min(await waiting(vhost)) >= 60


@pytest.mark.parametrize("topology", [ONE], indirect=True)
async def test_partitions_come_and_go_while_messages_wait(vhost: VirtualHost, prices: PriceInstances) -> None:
    """1 -> 3 -> 1 partitions. Each message is in one queue, and all are handled."""
    await prices.send(50)
    await apply(vhost, THREE)
    assert await drift(vhost, THREE) == []
    await prices.send(150)
    before = await waiting(vhost)
    assert sum(before) == 200 and min(before) >= 20

    await apply(vhost, ONE)
    await prices.send(50)
    assert await waiting(vhost) == [before[0] + 50, *before[1:]], "nothing new arrives in a surplus partition"

    await prices.start()  # it still has the setting of three partitions
    draining = asyncio.create_task(removed(vhost, ONE, drain_s=2 * WAIT_S_MAX))
    await prices.send(50)
    await prices.all_are_handled()
    await prices.running[0].stop()
    assert await draining == []
    assert await drift(vhost, ONE) == []

    prices.partitions = 1
    await prices.start()
    await prices.send(20)
    await prices.all_are_handled()


async def test_a_removal_leaves_messages_and_can_be_taken_back(
    vhost: VirtualHost, prices: PriceInstances
) -> None:
    """3 -> 2 -> 3 partitions. The exchange that chooses a partition stays in use."""
    await prices.send(150)
    await apply(vhost, TWO)
    for _ in range(2):
        assert any(each.startswith(f"queue {EVENTS[2]} stays: ") for each in await removed(vhost, TWO))
    before = await waiting(vhost)
    await prices.send(150)
    after = await waiting(vhost)
    assert sum(after) == 300 and after[2] == before[2], "nothing new arrives in a surplus partition"

    await apply(vhost, THREE)
    assert await drift(vhost, THREE) == []
    await prices.start()
    await prices.all_are_handled()


async def test_without_the_plugin_the_error_names_the_remedy(
    vhost: VirtualHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(partition_bindings, "HASH_EXCHANGE", "x-unknown")
    with pytest.raises(AdminUnavailable, match="rabbitmq-plugins enable rabbitmq_consistent_hash_exchange"):
        await apply(vhost, THREE)
    await apply(vhost, ONE)
