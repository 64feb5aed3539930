"""A service with several partitions on the in-memory broker."""

from dataclasses import replace

import pytest

from chassis.bus.memory import MemoryBroker, MemoryBus, MemoryStore
from chassis.bus.topology import build
from chassis.runtime import Runtime
from order_svc.service import order_service
from product_svc.service import product_service
from tests.support.price_instances import PriceInstances

SERVICE = replace(order_service(), partitions=3)
PARTITIONS = (*SERVICE.events_queues, *SERVICE.commands_queues)


@pytest.fixture
def broker() -> MemoryBroker:
    return MemoryBroker(build([SERVICE, product_service()]))


def consumers(broker: MemoryBroker) -> set[int]:
    """The number of consumers of each partition."""
    return {len(broker.subscriptions[queue]) for queue in PARTITIONS}


async def test_every_instance_consumes_every_partition(broker: MemoryBroker) -> None:
    shop = PriceInstances(lambda user: MemoryBus(broker, user))
    for count in (1, 2, 3):
        await shop.start()
        assert consumers(broker) == {count}
    await shop.running[1].stop()
    assert consumers(broker) == {2}
    await shop.running[0].kill()
    await shop.share_fairly([2])
    await shop.stop()


async def test_instances_come_and_go_and_share_the_messages(broker: MemoryBroker) -> None:
    shop = PriceInstances(lambda user: MemoryBus(broker, user))
    first = await shop.start()
    await shop.share_fairly([first])
    second = await shop.start()
    await shop.share_fairly([first, second])
    await shop.send(200)
    await shop.running[first].kill()
    await shop.all_are_handled()
    await shop.share_fairly([second])
    await shop.stop()


async def test_partitions_share_the_prefetch_of_their_queue(broker: MemoryBroker) -> None:
    service = replace(SERVICE, prefetch_events=200, prefetch_commands=2)
    runtime = Runtime(service, MemoryBus(broker, "order_svc"), MemoryStore())
    await runtime.start()
    prefetches = [broker.subscriptions[queue][0]._prefetch for queue in PARTITIONS]
    assert prefetches == [67, 67, 67, 67, 1, 1, 1, 1], "the queue of added messages gets as many as one"
    await runtime.kill()


async def test_an_open_circuit_pauses_every_partition_of_the_commands(broker: MemoryBroker) -> None:
    runtime = Runtime(SERVICE, MemoryBus(broker, "order_svc"), MemoryStore())
    await runtime.start()
    assert runtime._effect_runner is not None and runtime._effect_runner.commands is not None
    await runtime._effect_runner.commands.pause()
    able = {queue: broker.subscriptions[queue][0].able for queue in PARTITIONS}
    assert able == dict.fromkeys(SERVICE.events_queues, True) | dict.fromkeys(SERVICE.commands_queues, False)
    await runtime._effect_runner.commands.resume()
    assert all(broker.subscriptions[queue][0].able for queue in PARTITIONS)
    await runtime.kill()
