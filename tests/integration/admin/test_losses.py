"""Messages that bounded queues discard are counted, in memory and on RabbitMQ;
uncounted losses are reported, too.
"""

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from chassis.bus.memory import MemoryBroker
from chassis.bus.rabbitmq import RabbitBus
from chassis.bus.retry_ladder import DEAD, REJECTED
from chassis.bus.topology_model import Topology
from chassis.messaging.envelope import OPERATOR, WireMessage
from chassis.messaging.identity import new_id
from contracts.catalog import NAMES
from journey.admin.broker import losses
from journey.admin.broker.losses import Losses
from journey.admin.broker.management import BrokerAdmin
from tests.support.eventually import until
from tests.support.infrastructure import VirtualHost
from tests.support.recording_consumer import WAIT_S_MAX

DEAD_MAX = 4
REJECTED_MAX = 3
LOST_MAX = 50


def bounded(topology: Topology, **bounds: int) -> Topology:
    """The same topology with queues that hold only a few messages."""
    names = {
        "dead letters": DEAD_MAX,
        "rejected messages": REJECTED_MAX,
        NAMES.unroutable: 2,
        "queues of clients": 2,
    }
    names |= bounds
    policies = tuple(
        replace(each, definition={**each.definition, "max-length": names[each.name]})
        if each.name in names
        else each
        for each in topology.policies
    )
    return replace(topology, policies=policies)


@pytest.fixture
def topology(topology: Topology) -> Topology:
    return bounded(topology)


class Shop:
    """Services publish dead letters; `counted` returns the counts of discarded ones."""

    def __init__(self, topology: Topology, vhost: VirtualHost | None) -> None:
        self._memory = MemoryBroker(topology)
        self._vhost = vhost

    async def dies(self, service: str, messages: int, kind: str = DEAD, **how: Any) -> None:
        key = service if kind == DEAD else f"{service}.{kind}"
        wire_messages = [
            WireMessage(NAMES.dead, key, b"{}", str(new_id()), "x", service, None, **how)
            for _ in range(messages)
        ]
        if self._vhost is None:
            assert not any(
                self._memory.route(replace(wire_message, user_id=service)) for wire_message in wire_messages
            )
            return
        bus = RabbitBus(self._vhost.url(service))
        await bus.start()
        assert not any(await bus.publish(wire_messages))
        await bus.stop()

    async def counted(self) -> dict[str, int]:
        if self._vhost is None:
            return dict(self._memory.lost)
        return dict((await losses.read_losses(self._vhost.url(OPERATOR))).lost)


@pytest.fixture(params=["in_memory", pytest.param("rabbit", marks=pytest.mark.real)])
def shop(request: pytest.FixtureRequest, topology: Topology) -> Shop:
    return Shop(topology, None if request.param == "in_memory" else request.getfixturevalue("vhost"))


async def test_every_message_discarded_by_a_full_queue_is_counted(shop: Shop) -> None:
    await shop.dies("order_svc", DEAD_MAX)
    await shop.dies("order_svc", REJECTED_MAX, REJECTED)
    assert await shop.counted() == {}
    await shop.dies("order_svc", 5)
    await shop.dies("order_svc", 7, REJECTED)
    await shop.dies("payment_svc", DEAD_MAX + 1)
    expected = {"order_svc.dead": 5, "order_svc.rejected": 7, "payment_svc.dead": 1}
    assert await until(shop.counted, lambda found: found == expected, within_s=WAIT_S_MAX)
    assert await shop.counted() == expected
    await shop.dies("order_svc", 300)
    assert await until(
        shop.counted, lambda found: found == expected | {"order_svc.dead": 305}, within_s=WAIT_S_MAX
    )


@pytest.mark.real
async def test_messages_discarded_by_client_queues_are_counted_per_client(vhost: VirtualHost) -> None:
    async with vhost.admin as admin:
        for name in ("client.acme.inbox", "client.tool"):
            path = f"queues/{vhost.name}/{name}"
            await admin.ask("PUT", path, json={"durable": True, "arguments": {"x-queue-type": "quorum"}})
    bus = RabbitBus(vhost.url(OPERATOR))
    await bus.start()
    for queue, count in (("client.acme.inbox", 5), ("client.tool", 3)):
        wire_messages = [WireMessage("", queue, b"{}", str(new_id()), "x", "x", None) for _ in range(count)]
        assert not any(await bus.publish(wire_messages))
    await bus.stop()

    async def counted() -> dict[str, int]:
        return dict((await losses.read_losses(vhost.url(OPERATOR))).lost)

    expected = {f"a queue of {NAMES.client}.acme": 3, f"a queue of {NAMES.client}": 1}
    assert await until(counted, lambda found: found == expected, within_s=WAIT_S_MAX)


@pytest.mark.real
async def test_concurrent_counters_count_each_message_once(vhost: VirtualHost, topology: Topology) -> None:
    shop = Shop(topology, vhost)
    await shop.dies("order_svc", DEAD_MAX + 250)
    found = await asyncio.gather(*(shop.counted() for _ in range(3)))
    assert max(each.get("order_svc.dead", 0) for each in found) <= 250
    assert await until(shop.counted, lambda found: found == {"order_svc.dead": 250}, within_s=WAIT_S_MAX)


@pytest.mark.real
@pytest.mark.parametrize("moment", ["before the totals are written", "before the messages are removed"])
async def test_a_crash_while_counting_keeps_counts_exact(
    vhost: VirtualHost, topology: Topology, monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    shop = Shop(topology, vhost)
    await shop.dies("order_svc", DEAD_MAX + 30)
    await until(lambda: depth(vhost.admin, vhost.name), lambda ready: ready == 30, within_s=WAIT_S_MAX)
    write = losses._Counting._write

    async def crash(self: Any) -> int:
        if moment == "before the messages are removed":
            await write(self)
        raise KeyError("crashed")

    monkeypatch.setattr(losses._Counting, "_write", crash)
    with pytest.raises(KeyError):
        await shop.counted()
    monkeypatch.undo()
    await shop.dies("order_svc", 2)
    assert await until(shop.counted, lambda found: found == {"order_svc.dead": 32}, within_s=WAIT_S_MAX)
    assert await shop.counted() == {"order_svc.dead": 32}


async def depth(admin: BrokerAdmin, vhost: str) -> int | None:
    async with admin:
        return (await admin.depths(vhost))[NAMES.lost].ready


@pytest.mark.real
async def test_incomplete_totals_are_reported_with_at_least(vhost: VirtualHost) -> None:
    few = bounded(vhost.topology, **{NAMES.lost: LOST_MAX})
    await replace(vhost, topology=few).apply()
    shop = Shop(few, vhost)
    await shop.dies("order_svc", DEAD_MAX + LOST_MAX + 20)

    async def found() -> Losses:
        return await losses.read_losses(vhost.url(OPERATOR))

    seen = await until(found, lambda found: NAMES.lost in found.lost, within_s=WAIT_S_MAX)
    [sentence] = seen.sentences
    assert sentence.startswith("order_svc.dead was full and discarded at least ")
    assert 0 < seen.lost["order_svc.dead"] <= LOST_MAX + 20


@pytest.mark.parametrize(
    ("lost", "sentences"),
    [
        ({}, []),
        ({"order_svc.dead": 1}, ["order_svc.dead was full and discarded 1 message"]),
        (
            {"a": 1, "b": 1_200},
            ["b was full and discarded 1,200 messages", "a was full and discarded 1 message"],
        ),
        ({NAMES.lost: 1}, ["full queues discarded messages that were not counted"]),
    ],
)
def test_losses_are_described_largest_first(lost: dict[str, int], sentences: list[str]) -> None:
    assert Losses(lost).sentences == sentences
