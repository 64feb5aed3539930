"""Redriving and dropping on a real broker: nothing is lost, whoever dies in the middle, and every act is audited."""

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from dataclasses import asdict, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from chassis.memory import MemoryStore
from chassis.rabbit import RabbitBus
from chassis.runtime import Runtime
from contracts import orders, products
from contracts.envelope import Parcel
from contracts.message import Message
from contracts.values import Money, OrderLine
from journey import audit
from journey.dead_letters import DeadQueue, connected, dead_queue
from journey.infra.model import InfrastructureUnavailable
from journey.place import Place
from journey.settling import DROP, REDRIVE, Act, settle
from order_svc.service import order_service
from tests.conformance.dying import INBOX, SERVICE, Scene, assert_none_lost, dying_on
from tests.conformance.inbox import PATIENCE_S, as_kept, placed, sealed
from tests.conformance.proxy import Proxy
from tests.infrastructure import VirtualHost
from tests.typed import begun
from tests.until import until

pytestmark = pytest.mark.real

BACK = Act(REDRIVE, "a test")
SKU, PRICE = "TEA-GREEN", Money(amount_minor=420, currency="EUR")
LINES = (OrderLine(sku=SKU, quantity=1),)


@pytest.fixture
async def scene(vhost: VirtualHost) -> AsyncIterator[Scene]:
    async with dying_on(vhost) as made:
        yield made


async def test_a_redriven_message_is_the_first_one_byte_for_byte_in_its_own_queue_only(scene: Scene) -> None:
    parcel = placed()  # payment_svc hears it too, and has handled it
    await scene.die(parcel)
    done = await settle(scene.operator, await scene.letters(), BACK)
    assert (done.settled, done.missing, done.unsent) == (1, 0, [])
    [back] = await scene.arrived()
    assert as_kept(back) == as_kept(parcel) and back.attempt == 0 and back.user_id == "operator"
    assert await scene.arrived("payment_svc.events") == []
    assert await scene.letters() == []


async def test_only_what_was_chosen_goes(scene: Scene) -> None:
    chosen, left = [placed() for _ in range(7)], [placed() for _ in range(9)]
    await scene.die(*(parcel for pair in zip(left, chosen, strict=False) for parcel in pair), *left[7:])
    ids = {parcel.message_id for parcel in chosen}
    await settle(scene.operator, [each for each in await scene.letters() if each.id in ids], replace(BACK, batch=2))
    assert {parcel.message_id for parcel in await scene.arrived()} == ids
    assert {letter.id for letter in await scene.letters()} == {parcel.message_id for parcel in left}


async def test_a_message_that_died_twice_goes_back_twice(scene: Scene) -> None:
    """After a kill between sending and removing it lies in both queues, and may die again."""
    parcel = placed()
    await scene.die(parcel, placed())
    await scene.die(parcel)
    done = await settle(scene.operator, await scene.letters(), BACK)
    assert (done.settled, done.missing) == (3, 0)
    assert Counter(each.message_id for each in await scene.arrived())[parcel.message_id] == 2


async def test_two_deaths_that_cannot_be_told_apart_are_both_done_with_and_sent_back_once(scene: Scene) -> None:
    """A bounded queue drops one message twice within a second, and the broker's clock counts seconds."""
    parcel = placed()
    await scene.die(parcel)
    await scene.die(parcel, later_s=0)
    done = await settle(scene.operator, await scene.letters(), BACK)
    assert (done.settled, done.missing) == (2, 0)
    assert [each.message_id for each in await scene.arrived()] == [parcel.message_id]
    assert await scene.letters() == []


async def test_what_is_told_to_be_done_is_done(scene: Scene) -> None:
    """Though RabbitMQ may forget acknowledgements: it hands them on some at a time, and none once the channel ends."""
    for _ in range(6):
        await scene.die(*(placed() for _ in range(100)))
        done = await settle(scene.operator, await scene.letters(), replace(BACK, batch=100))
        assert (done.settled, await scene.letters()) == (100, [])
    assert set(Counter(parcel.message_id for parcel in await scene.arrived()).values()) == {1}


async def test_the_rate_is_kept(scene: Scene) -> None:
    await scene.die(*(placed() for _ in range(20)))
    begun = asyncio.get_running_loop().time()
    await settle(scene.operator, await scene.letters(), replace(BACK, rate=10.0))
    assert asyncio.get_running_loop().time() - begun > 0.9  # the first ten go at once


async def test_every_act_is_in_the_audit_log_before_it_is_done(scene: Scene) -> None:
    kept, dropped = placed(), placed()
    await scene.die(kept, dropped)
    by_id = {letter.id: letter for letter in await scene.letters()}
    begin = datetime.now(UTC)
    await settle(scene.operator, [by_id[kept.message_id or ""]], BACK)
    await settle(scene.operator, [by_id[dropped.message_id or ""]], Act(DROP, "Ada", "paid by hand"))
    first, second = await audit.read(scene.operator)
    assert (first.action, first.message_id, first.by, first.queue) == (REDRIVE, kept.message_id, "a test", INBOX)
    assert (second.action, second.message_id, second.by, second.reason) == (
        DROP, dropped.message_id, "Ada", "paid by hand",
    )  # fmt: skip
    assert (second.type, second.journey_id, second.service) == ("order.placed.v1", dropped.correlation_id, SERVICE)
    assert begin <= first.at <= second.at
    assert await audit.read(scene.operator, since=second.at) == [second]
    assert [parcel.message_id for parcel in await scene.arrived()] == [kept.message_id]


async def test_no_service_may_write_into_the_audit_log(scene: Scene) -> None:
    forged = Parcel("", "audit", b"{}", "1", audit.ACT, SERVICE, None)
    [refused] = await (await scene.bus(SERVICE)).publish([forged])
    assert refused is not None and "refused" in str(refused).lower()


async def test_what_has_lost_its_queue_stays(scene: Scene) -> None:
    await scene.die(placed())
    letters = await scene.letters()
    async with scene.vhost.admin as admin:
        await admin.delete_queue(scene.vhost.name, INBOX)
    done = await settle(scene.operator, letters, BACK)
    assert (done.settled, len(done.unsent)) == (0, 1) and INBOX in done.unsent[0]
    assert [letter.id for letter in await scene.letters()] == [letters[0].id]


async def test_a_broker_that_goes_away_in_the_middle_loses_nothing(scene: Scene) -> None:
    parcels = [placed() for _ in range(100)]
    await scene.die(*parcels)
    letters = await scene.letters()
    async with Proxy(scene.vhost.amqp_url, 5672) as proxy:

        def cut(count: int) -> None:
            if count >= 40:
                proxy.cut()

        with pytest.raises(InfrastructureUnavailable, match=r"after \d+ of 100"):
            await settle(scene.vhost.url("operator", proxy.port), letters, replace(BACK, batch=10), cut)
    arrived = await scene.arrived()
    assert_none_lost(parcels, arrived, await scene.settled_down(parcels, arrived))


# Dying in the middle, and two at once


class Killed(BaseException):
    """As good as kill -9 at this very line: nothing that follows is done."""


@pytest.mark.parametrize("moment", ["before", "after"])
@pytest.mark.parametrize("step", [(audit, "record"), (RabbitBus, "publish"), (DeadQueue, "remove")], ids=lambda s: s[1])
async def test_whichever_step_it_dies_at_nothing_is_lost_and_nothing_unaudited(
    scene: Scene, monkeypatch: pytest.MonkeyPatch, step: tuple[Any, str], moment: str
) -> None:
    parcels = [placed() for _ in range(20)]
    await scene.die(*parcels)
    letters = await scene.letters()
    owner, name = step
    do, times = getattr(owner, name), 0

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
        patch.setattr(owner, name, dying)
        await settle(scene.operator, letters, replace(BACK, batch=5))
    arrived = await scene.arrived()
    left = await scene.settled_down(parcels, arrived)
    assert_none_lost(parcels, arrived, left)
    audited = {entry.message_id for entry in await audit.read(scene.operator)}
    assert {parcel.message_id for parcel in arrived} <= audited
    assert {parcel.message_id for parcel in parcels} - {letter.id for letter in left} <= audited


@pytest.mark.timeout(400)
@pytest.mark.every_service  # `journey` asks for the dead letters of all of them
async def test_a_redrive_that_is_killed_leaves_each_message_in_one_queue_or_harmlessly_in_both(
    scene: Scene, tmp_path: Path
) -> None:
    parcels = [placed() for _ in range(300)]
    await scene.die(*parcels)
    arrived: list[Parcel] = []
    for kill_at in (40, 80, 120):
        words = ("dlq", "redrive", "--all", "--yes", "--batch=10", "--rate=20")
        redriving = await begun(home(tmp_path, scene.vhost), *words)
        assert redriving.stdout is not None
        async for line in redriving.stdout:  # a line each ten messages; it goes on meanwhile
            print(line.decode(), end="")
            if len(arrived) + done_so_far(line) >= kill_at:
                redriving.kill()
                break
        assert await redriving.wait() == -9
        arrived += await scene.arrived()
        left = await scene.settled_down(parcels, arrived)
        assert_none_lost(parcels, arrived, left)
        assert left, "it was done before it was killed: nothing was tried"
    left = await scene.letters()
    done = await settle(scene.operator, left, BACK)
    assert done.settled == len(left) and await scene.letters() == []
    arrived += await scene.arrived()
    assert {parcel.message_id for parcel in arrived} == {parcel.message_id for parcel in parcels}
    audited = {entry.message_id for entry in await audit.read(scene.operator)}
    assert audited == {parcel.message_id for parcel in parcels}
    print(f"{len(arrived) - len(parcels)} of {len(parcels)} were delivered a second time")


async def test_two_who_redrive_at_once_share_the_work(scene: Scene) -> None:
    parcels = [placed() for _ in range(300)]
    await scene.die(*parcels)
    letters = await scene.letters()
    done = await asyncio.gather(*(settle(scene.operator, letters, replace(BACK, batch=10, rate=50)) for _ in range(2)))
    assert [each.settled + each.missing for each in done] == [300, 300]
    assert sum(each.settled for each in done) == 300 and min(each.settled for each in done) > 0
    assert Counter(parcel.message_id for parcel in await scene.arrived()) == Counter(p.message_id for p in parcels)
    assert await scene.letters() == []


async def test_what_somebody_looks_at_just_now_is_waited_for(scene: Scene) -> None:
    await scene.die(placed())
    letters = await scene.letters()
    async with connected(scene.operator) as connection, dead_queue(connection, f"{SERVICE}.dead") as queue:
        assert await queue.take()
        redriving = asyncio.create_task(settle(scene.operator, letters, BACK))
        await asyncio.sleep(0.3)
    assert (await redriving).settled == 1


# What comes back is handled, once


async def test_a_redriven_client_command_event_and_own_command_are_all_taken_once(scene: Scene) -> None:
    """The operator's word counts for the owner's, and a second delivery is known by its id."""
    store = MemoryStore()
    order_svc = Runtime(order_service(), RabbitBus(scene.vhost.url("order_svc")), store)
    await order_svc.start()
    listed = products.ProductListed(sku=SKU, title="Tea", category="tea", price=PRICE, revision=1)
    place = orders.PlaceOrder(order_id=uuid4(), customer_id=uuid4(), lines=LINES, card_token="tok_visa")
    sent: Sequence[tuple[Message, str, str]] = (
        (listed, "product_svc", "order_svc.events"),
        (place, "client", "order_svc.commands"),
        (orders.DeadlinePassed(order_id=place.order_id), "order_svc", "order_svc.commands"),
    )
    for message, sender, queue in sent:
        parcel = sealed(message, sender).parcel()
        for _ in range(2):
            await scene.die(parcel, queue=queue, sender=sender)
            await settle(scene.operator, await scene.letters("order_svc"), BACK)
        await until(partial(is_handled, store, message, parcel), within_s=PATIENCE_S)
    await order_svc.stop(5)
    counts = Counter([*await handled_ids(store, listed), *await handled_ids(store, place)])
    assert len(counts) == 3 and set(counts.values()) == {1}
    assert await scene.letters("order_svc") == []


async def is_handled(store: MemoryStore, message: Message, parcel: Parcel) -> bool:
    return parcel.message_id in await handled_ids(store, message)


async def handled_ids(store: MemoryStore, about: Message) -> list[str]:
    kept = [*await store.journey("orders", about.subject), *await store.journey("prices", about.subject)]
    return [handled.message_id for _, trail in kept for handled in trail]


def home(tmp_path: Path, vhost: VirtualHost) -> Path:
    """Where the command line finds out that the shop runs on this virtual host."""
    place = Place("local", vhost.name, vhost.amqp_url, vhost.passwords, {}, "", "")
    (tmp_path / "system.json").write_text(json.dumps(asdict(place)))
    return tmp_path


def done_so_far(line: bytes) -> int:
    words = line.decode().split()
    return int(words[1]) if words[:1] == ["redrive:"] else 0
