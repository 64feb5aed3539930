"""Redriving and dropping on a real broker: nothing is lost if a process dies midway,
and every action is audited.
"""

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from chassis.bus.memory import MemoryStore
from chassis.bus.rabbitmq import RabbitBus
from chassis.messaging.envelope import WireMessage
from chassis.messaging.message import Message
from chassis.runtime import Runtime
from contracts import orders, products
from contracts.catalog import CATALOG
from contracts.values import Money, OrderLine
from journey.admin.dead_letters import audit_log
from journey.admin.dead_letters.reader import DeadQueue, connected, dead_queue
from journey.admin.dead_letters.redrive import REDRIVE, DeadLetterAction, redrive_or_drop
from journey.admin.endpoints import ShopEndpoints
from journey.admin.infrastructure_unavailable import InfrastructureUnavailable
from order_svc.service import order_service
from tests.support.cli_runner import start_journey
from tests.support.dead_letter_fixtures import INBOX, SERVICE, Scene, assert_none_lost, dying_on
from tests.support.eventually import until
from tests.support.infrastructure import VirtualHost
from tests.support.proxy import Proxy
from tests.support.recording_consumer import WAIT_S_MAX, as_kept, placed, wrapped

pytestmark = pytest.mark.real

BACK = DeadLetterAction(REDRIVE, "a test")
SKU, PRICE = "TEA-GREEN", Money(amount_minor=420, currency="EUR")
LINES = (OrderLine(sku=SKU, quantity=1),)


@pytest.fixture
async def scene(vhost: VirtualHost) -> AsyncIterator[Scene]:
    async with dying_on(vhost) as made:
        yield made


async def test_a_redriven_message_is_identical_in_its_own_queue(scene: Scene) -> None:
    wire_message = placed()  # payment_svc consumes it too, and has handled it
    await scene.die(wire_message)
    done = await redrive_or_drop(scene.operator, await scene.dead_letters(), BACK)
    assert (done.settled, done.missing, done.unsent) == (1, 0, [])
    [back] = await scene.arrived()
    assert as_kept(back) == as_kept(wire_message) and back.attempt == 0 and back.user_id == "operator"
    assert await scene.arrived("payment_svc.events") == []
    assert await scene.dead_letters() == []


async def test_only_the_chosen_dead_letters_are_redriven(scene: Scene) -> None:
    chosen, left = [placed() for _ in range(7)], [placed() for _ in range(9)]
    await scene.die(
        *(wire_message for pair in zip(left, chosen, strict=False) for wire_message in pair), *left[7:]
    )
    ids = {wire_message.message_id for wire_message in chosen}
    await redrive_or_drop(
        scene.operator,
        [each for each in await scene.dead_letters() if each.id in ids],
        replace(BACK, batch=2),
    )
    assert {wire_message.message_id for wire_message in await scene.arrived()} == ids
    assert {dead_letter.id for dead_letter in await scene.dead_letters()} == {
        wire_message.message_id for wire_message in left
    }


async def test_a_message_dead_lettered_twice_is_redriven_twice(scene: Scene) -> None:
    """After a kill between sending and removing, it is in both queues, and may be dead-lettered again."""
    wire_message = placed()
    await scene.die(wire_message, placed())
    await scene.die(wire_message)
    done = await redrive_or_drop(scene.operator, await scene.dead_letters(), BACK)
    assert (done.settled, done.missing) == (3, 0)
    assert Counter(each.message_id for each in await scene.arrived())[wire_message.message_id] == 2


async def test_indistinguishable_dead_letters_are_redriven_once(
    scene: Scene,
) -> None:
    """A bounded queue discards one message twice within a second,
    and the broker's timestamps are in seconds.
    """
    wire_message = placed()
    await scene.die(wire_message)
    await scene.die(wire_message, later_s=0)
    done = await redrive_or_drop(scene.operator, await scene.dead_letters(), BACK)
    assert (done.settled, done.missing) == (2, 0)
    assert [each.message_id for each in await scene.arrived()] == [wire_message.message_id]
    assert await scene.dead_letters() == []


async def test_selected_dead_letters_are_redriven_or_dropped(scene: Scene) -> None:
    """Although RabbitMQ may lose acknowledgements: it processes them in batches,
    and none after a channel closes.
    """
    for _ in range(6):
        await scene.die(*(placed() for _ in range(100)))
        done = await redrive_or_drop(scene.operator, await scene.dead_letters(), replace(BACK, batch=100))
        assert (done.settled, await scene.dead_letters()) == (100, [])
    assert set(Counter(wire_message.message_id for wire_message in await scene.arrived()).values()) == {1}


async def test_the_rate_is_kept(scene: Scene) -> None:
    await scene.die(*(placed() for _ in range(20)))
    begun = asyncio.get_running_loop().time()
    await redrive_or_drop(scene.operator, await scene.dead_letters(), replace(BACK, rate=10.0))
    assert asyncio.get_running_loop().time() - begun > 0.9  # the first ten go at once


async def test_a_dead_letter_whose_queue_is_missing_stays(scene: Scene) -> None:
    await scene.die(placed())
    dead_letters = await scene.dead_letters()
    async with scene.vhost.admin as admin:
        await admin.delete_queue(scene.vhost.name, INBOX)
    done = await redrive_or_drop(scene.operator, dead_letters, BACK)
    assert (done.settled, len(done.unsent)) == (0, 1) and INBOX in done.unsent[0]
    assert [dead_letter.id for dead_letter in await scene.dead_letters()] == [dead_letters[0].id]


async def test_a_broker_outage_during_a_redrive_loses_no_message(scene: Scene) -> None:
    wire_messages = [placed() for _ in range(100)]
    await scene.die(*wire_messages)
    dead_letters = await scene.dead_letters()
    async with Proxy(scene.vhost.amqp_url, 5672) as proxy:

        def cut(count: int) -> None:
            if count >= 40:
                proxy.cut()

        with pytest.raises(InfrastructureUnavailable, match=r"after \d+ of 100"):
            await redrive_or_drop(
                scene.vhost.url("operator", proxy.port), dead_letters, replace(BACK, batch=10), cut
            )
    arrived = await scene.arrived()
    assert_none_lost(wire_messages, arrived, await scene.settled_down(wire_messages, arrived))


# Dying in the middle, and two at once


class Killed(BaseException):
    """Simulates SIGKILL at this line: nothing after it is executed."""


@pytest.mark.parametrize("moment", ["before", "after"])
@pytest.mark.parametrize(
    "operation", [(audit_log, "record"), (RabbitBus, "publish"), (DeadQueue, "remove")], ids=lambda s: s[1]
)
async def test_a_crash_at_any_operation_loses_nothing_unaudited(
    scene: Scene, monkeypatch: pytest.MonkeyPatch, operation: tuple[Any, str], moment: str
) -> None:
    wire_messages = [placed() for _ in range(20)]
    await scene.die(*wire_messages)
    dead_letters = await scene.dead_letters()
    target, name = operation
    do, times = getattr(target, name), 0

    async def dying(*args: Any) -> Any:
        nonlocal times
        times += 1
        if times > 2 and moment == "before":
            raise Killed
        result = await do(*args)
        if times > 2:
            raise Killed
        return result

    with monkeypatch.context() as patch, pytest.raises(Killed):
        patch.setattr(target, name, dying)
        await redrive_or_drop(scene.operator, dead_letters, replace(BACK, batch=5))
    arrived = await scene.arrived()
    left = await scene.settled_down(wire_messages, arrived)
    assert_none_lost(wire_messages, arrived, left)
    audited = {entry.message_id for entry in await audit_log.read(scene.operator)}
    assert {wire_message.message_id for wire_message in arrived} <= audited
    assert {wire_message.message_id for wire_message in wire_messages} - {
        dead_letter.id for dead_letter in left
    } <= audited


@pytest.mark.timeout(400)
@pytest.mark.every_service  # `journey` reads the dead letters of all of them
async def test_a_killed_redrive_loses_no_message(scene: Scene, tmp_path: Path) -> None:
    wire_messages = [placed() for _ in range(300)]
    await scene.die(*wire_messages)
    arrived: list[WireMessage] = []
    for kill_at in (40, 80, 120):
        arguments = ("dlq", "redrive", "--all", "--yes", "--batch=10", "--rate=20")
        redriving = await start_journey(home(tmp_path, scene.vhost), *arguments)
        assert redriving.stdout is not None
        async for line in redriving.stdout:  # one line per ten messages; the redrive continues
            print(line.decode(), end="")
            if len(arrived) + done_so_far(line) >= kill_at:
                redriving.kill()
                break
        assert await redriving.wait() == -9
        arrived += await scene.arrived()
        left = await scene.settled_down(wire_messages, arrived)
        assert_none_lost(wire_messages, arrived, left)
        assert left, "it was done before it was killed: nothing was tried"
    left = await scene.dead_letters()
    done = await redrive_or_drop(scene.operator, left, BACK)
    assert done.settled == len(left) and await scene.dead_letters() == []
    arrived += await scene.arrived()
    assert {wire_message.message_id for wire_message in arrived} == {
        wire_message.message_id for wire_message in wire_messages
    }
    audited = {entry.message_id for entry in await audit_log.read(scene.operator)}
    assert audited == {wire_message.message_id for wire_message in wire_messages}
    print(f"{len(arrived) - len(wire_messages)} of {len(wire_messages)} were delivered a second time")


async def test_concurrent_redrives_share_the_work(scene: Scene) -> None:
    wire_messages = [placed() for _ in range(300)]
    await scene.die(*wire_messages)
    dead_letters = await scene.dead_letters()
    done = await asyncio.gather(
        *(redrive_or_drop(scene.operator, dead_letters, replace(BACK, batch=10, rate=50)) for _ in range(2))
    )
    assert [each.settled + each.missing for each in done] == [300, 300]
    assert sum(each.settled for each in done) == 300 and min(each.settled for each in done) > 0
    assert Counter(wire_message.message_id for wire_message in await scene.arrived()) == Counter(
        p.message_id for p in wire_messages
    )
    assert await scene.dead_letters() == []


async def test_locked_dead_letters_are_waited_for(scene: Scene) -> None:
    await scene.die(placed())
    dead_letters = await scene.dead_letters()
    async with connected(scene.operator) as connection, dead_queue(connection, f"{SERVICE}.dead") as queue:
        assert await queue.take()
        redriving = asyncio.create_task(redrive_or_drop(scene.operator, dead_letters, BACK))
        await asyncio.sleep(0.3)
    assert (await redriving).settled == 1


# What is redriven is handled once


async def test_redriven_commands_and_events_are_handled_once(scene: Scene) -> None:
    """The operator counts as the owner, and a second delivery is recognized by its id."""
    store = MemoryStore()
    order_svc = Runtime(order_service(), RabbitBus(scene.vhost.url("order_svc")), store)
    await order_svc.start()
    listed = products.ProductListed(sku=SKU, title="Tea", category="tea", price=PRICE, revision=1)
    endpoints = orders.PlaceOrder(order_id=uuid4(), customer_id=uuid4(), lines=LINES, card_token="tok_visa")
    sent: Sequence[tuple[Message, str, str]] = (
        (listed, "product_svc", "order_svc.events"),
        (endpoints, "client", "order_svc.commands"),
        (orders.DeadlinePassed(order_id=endpoints.order_id), "order_svc", "order_svc.commands"),
    )
    for message, sender, queue in sent:
        wire_message = wrapped(message, sender).wire_message(CATALOG)
        for _ in range(2):
            await scene.die(wire_message, queue=queue, sender=sender)
            await redrive_or_drop(scene.operator, await scene.dead_letters("order_svc"), BACK)
        await until(partial(is_handled, store, message, wire_message), within_s=WAIT_S_MAX)
    await order_svc.stop(5)
    counts = Counter([*await handled_ids(store, listed), *await handled_ids(store, endpoints)])
    assert len(counts) == 3 and set(counts.values()) == {1}
    assert await scene.dead_letters("order_svc") == []


async def is_handled(store: MemoryStore, message: Message, wire_message: WireMessage) -> bool:
    return wire_message.message_id in await handled_ids(store, message)


async def handled_ids(store: MemoryStore, about: Message) -> list[str]:
    kept = [*await store.journey("orders", about.subject), *await store.journey("prices", about.subject)]
    return [handled.message_id for _, records in kept for handled in records]


def home(tmp_path: Path, vhost: VirtualHost) -> Path:
    """A state directory with which the command line finds the shop on this virtual host."""
    endpoints = ShopEndpoints("local", vhost.name, vhost.amqp_url, vhost.passwords, {}, "", "")
    (tmp_path / "system.json").write_text(json.dumps(asdict(endpoints)))
    return tmp_path


def done_so_far(line: bytes) -> int:
    arguments = line.decode().split()
    return int(arguments[1]) if arguments[:1] == ["redrive:"] else 0
