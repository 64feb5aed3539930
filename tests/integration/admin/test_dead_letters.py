"""Dead letters on a real broker: they show what happened, and reading them removes nothing."""

import asyncio
import sys
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import pytest

from chassis.bus.protocol import Delivery
from chassis.bus.topology import DELIVERY_LIMIT
from chassis.core import retry
from inventory_svc.service import inventory_service
from journey.admin.dead_letters import audit_log
from journey.admin.dead_letters.oldest import oldest
from journey.admin.dead_letters.redrive import REDRIVE, DeadLetterAction, settle
from journey.devenv.process_shop import ROOT
from tests.support.dead_letter_fixtures import INBOX, NOW, SERVICE, Scene, dying_on
from tests.support.eventually import until
from tests.support.infrastructure import VirtualHost
from tests.support.recording_consumer import PATIENCE_S, Inbox, as_kept, placed

pytestmark = pytest.mark.real


class GivesBack(Inbox):
    """A consumer that rejects everything."""

    async def _settle(self, delivery: Delivery) -> None:
        await delivery.requeue()


@pytest.fixture
async def scene(vhost: VirtualHost) -> AsyncIterator[Scene]:
    async with dying_on(vhost) as made:
        yield made


async def test_a_letter_tells_why_when_and_of_which_journey(scene: Scene) -> None:
    wire_message = placed()
    await scene.die(wire_message)
    [letter] = await scene.letters()
    assert (letter.id, letter.type, letter.service) == (wire_message.message_id, "order.placed.v1", SERVICE)
    assert (letter.origin_queue, letter.error, letter.error_type) == (
        INBOX,
        "RuntimeError: a bug",
        "RuntimeError",
    )
    assert (letter.attempts, letter.died_at, letter.journey_id) == (4, NOW, wire_message.correlation_id)
    assert letter.message_at_failure.user_id == "order_svc" and not letter.by_broker
    assert as_kept(letter.original_message) == as_kept(wire_message)


async def test_looking_takes_nothing_away_however_often(scene: Scene) -> None:
    wire_messages = [placed() for _ in range(30)]
    await scene.die(*wire_messages)
    for _ in range(5):
        assert {letter.id for letter in await scene.letters()} == {
            wire_message.message_id for wire_message in wire_messages
        }


async def test_the_oldest_are_read_up_to_a_number_and_a_size_and_the_others_are_counted(
    scene: Scene, vhost: VirtualHost
) -> None:
    wire_messages = [placed() for _ in range(12)]
    for wire_message in wire_messages:
        await scene.die(wire_message)
    ids = {wire_message.message_id for wire_message in wire_messages}
    url = vhost.url("operator")
    for limits, count in (({"letters_max": 5}, 5), ({"bytes_max": 1}, 1), ({}, 12)):
        found = await oldest(url, [SERVICE], **limits)
        assert len(found.letters) == count and {letter.id for letter in found.letters} <= ids
        assert found.unread == ({f"{SERVICE}.dead": 12 - count} if count < 12 else {})
    assert {letter.id for letter in await scene.letters()} == ids, "they stay where they are"


async def test_whoever_is_killed_while_looking_takes_nothing_with_him(scene: Scene) -> None:
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
    assert {letter.id for letter in await scene.settled_down(wire_messages)} == {
        wire_message.message_id for wire_message in wire_messages
    }


async def test_what_the_broker_gave_up_names_its_queue_also_after_the_ladder(scene: Scene) -> None:
    """The expiry on the ladder is the first x-death entry of the broker, and not the relevant one."""
    wire_message = placed()
    service = await scene.bus(SERVICE)
    climbing = retry.after_failure(
        wire_message, RuntimeError("once"), queue=INBOX, service=inventory_service(), now=NOW
    )
    assert await service.publish([climbing]) == [None]
    await service.subscribe(INBOX, 1, inbox := GivesBack())
    [letter] = await until(scene.letters, within_s=PATIENCE_S)
    assert letter.by_broker and letter.error.startswith("delivery limit reached")
    assert (letter.origin_queue, letter.attempts, letter.journey_id) == (
        INBOX,
        1,
        wire_message.correlation_id,
    )
    assert letter.died_at is not None and abs(datetime.now(UTC) - letter.died_at) < timedelta(minutes=5)
    attempts = [wire_message.attempt for wire_message in inbox.wire_messages]
    assert len(attempts) >= DELIVERY_LIMIT and set(attempts) == {1}
    assert as_kept(letter.original_message) == as_kept(wire_message)


async def test_the_latest_entries_of_the_audit_log_can_be_read_alone(scene: Scene) -> None:
    for _ in range(5):
        await scene.die(placed())
    await settle(scene.operator, await scene.letters(), DeadLetterAction(REDRIVE, "a test", batch=1))
    acts = await audit_log.read(scene.operator)
    assert len(acts) == 5 and await audit_log.read(scene.operator, latest=2) == acts[-2:]
