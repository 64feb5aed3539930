"""Dead letters on a real broker: they show what happened, and reading them removes nothing."""

import asyncio
import sys
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import pytest

from chassis.bus.protocol import Delivery
from chassis.bus.topology_policies import DELIVERY_LIMIT
from chassis.core import retry
from inventory_svc.service import inventory_service
from journey.admin.dead_letters import audit_log
from journey.admin.dead_letters.oldest import oldest
from journey.admin.dead_letters.redrive import REDRIVE, DeadLetterAction, redrive_or_drop
from journey.devenv.process_shop import ROOT
from tests.support.dead_letter_fixtures import INBOX, NOW, SERVICE, Scene, dying_on
from tests.support.eventually import until
from tests.support.infrastructure import VirtualHost
from tests.support.recording_consumer import WAIT_S_MAX, Inbox, as_kept, placed

pytestmark = pytest.mark.real


class GivesBack(Inbox):
    """A consumer that rejects everything."""

    async def _settle(self, delivery: Delivery) -> None:
        await delivery.requeue()


@pytest.fixture
async def scene(vhost: VirtualHost) -> AsyncIterator[Scene]:
    async with dying_on(vhost) as made:
        yield made


async def test_a_dead_letter_names_reason_time_and_journey(scene: Scene) -> None:
    wire_message = placed()
    await scene.die(wire_message)
    [dead_letter] = await scene.dead_letters()
    assert (dead_letter.id, dead_letter.type, dead_letter.service) == (
        wire_message.message_id,
        "order.placed.v1",
        SERVICE,
    )
    assert (dead_letter.origin_queue, dead_letter.error, dead_letter.error_type) == (
        INBOX,
        "RuntimeError: a bug",
        "RuntimeError",
    )
    assert (dead_letter.attempts, dead_letter.died_at, dead_letter.journey_id) == (
        4,
        NOW,
        wire_message.correlation_id,
    )
    assert dead_letter.message_at_failure.user_id == "order_svc" and not dead_letter.by_broker
    assert as_kept(dead_letter.original_message) == as_kept(wire_message)


async def test_reading_dead_letters_repeatedly_removes_none(scene: Scene) -> None:
    wire_messages = [placed() for _ in range(30)]
    await scene.die(*wire_messages)
    for _ in range(5):
        assert {dead_letter.id for dead_letter in await scene.dead_letters()} == {
            wire_message.message_id for wire_message in wire_messages
        }


async def test_the_oldest_are_read_up_to_limits_others_are_counted(scene: Scene, vhost: VirtualHost) -> None:
    wire_messages = [placed() for _ in range(12)]
    for wire_message in wire_messages:
        await scene.die(wire_message)
    ids = {wire_message.message_id for wire_message in wire_messages}
    url = vhost.url("operator")
    for limits, count in (({"dead_letters_max": 5}, 5), ({"bytes_max": 1}, 1), ({}, 12)):
        found = await oldest(url, [SERVICE], **limits)
        assert (
            len(found.dead_letters) == count and {dead_letter.id for dead_letter in found.dead_letters} <= ids
        )
        assert found.unread == ({f"{SERVICE}.dead": 12 - count} if count < 12 else {})
    assert {dead_letter.id for dead_letter in await scene.dead_letters()} == ids, "they stay where they are"


async def test_a_killed_reader_removes_no_dead_letter(scene: Scene) -> None:
    wire_messages = [placed() for _ in range(10)]
    await scene.die(*wire_messages)
    queue = f"{SERVICE}.dead"
    program = (
        "import asyncio, os, signal\n"
        "from journey.admin.dead_letters.reader import connected, dead_queue\n"
        "async def look():\n"
        f"    async with connected({scene.operator!r}) as connection, dead_queue(connection, {queue!r}) "
        "as queue:\n"
        "        for _ in range(5): assert await queue.take()\n"
        "        os.kill(os.getpid(), signal.SIGKILL)\n"
        "asyncio.run(look())\n"
    )
    looking = await asyncio.create_subprocess_exec(sys.executable, "-c", program, cwd=ROOT)
    assert await looking.wait() == -9
    assert {dead_letter.id for dead_letter in await scene.settled_down(wire_messages)} == {
        wire_message.message_id for wire_message in wire_messages
    }


async def test_a_brokers_dead_letter_names_its_queue_after_retries(scene: Scene) -> None:
    """The expiry on the ladder is the first x-death entry of the broker, and not the relevant one."""
    wire_message = placed()
    service = await scene.bus(SERVICE)
    climbing = retry.after_failure(
        wire_message, RuntimeError("once"), queue=INBOX, service=inventory_service(), now=NOW
    )
    assert await service.publish([climbing]) == [None]
    await service.subscribe(INBOX, 1, inbox := GivesBack())
    [dead_letter] = await until(scene.dead_letters, within_s=WAIT_S_MAX)
    assert dead_letter.by_broker and dead_letter.error.startswith("delivery limit reached")
    assert (dead_letter.origin_queue, dead_letter.attempts, dead_letter.journey_id) == (
        INBOX,
        1,
        wire_message.correlation_id,
    )
    assert dead_letter.died_at is not None and abs(datetime.now(UTC) - dead_letter.died_at) < timedelta(
        minutes=5
    )
    attempts = [wire_message.attempt for wire_message in inbox.wire_messages]
    assert len(attempts) >= DELIVERY_LIMIT and set(attempts) == {1}
    assert as_kept(dead_letter.original_message) == as_kept(wire_message)


async def test_the_latest_audit_entries_can_be_read_alone(scene: Scene) -> None:
    for _ in range(5):
        await scene.die(placed())
    await redrive_or_drop(
        scene.operator, await scene.dead_letters(), DeadLetterAction(REDRIVE, "a test", batch=1)
    )
    acts = await audit_log.read(scene.operator)
    assert len(acts) == 5 and await audit_log.read(scene.operator, latest=2) == acts[-2:]
