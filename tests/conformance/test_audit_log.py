"""Each action on dead letters is in the audit log before it is done, and services cannot write there."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime

import pytest

from chassis.messaging.envelope import WireMessage
from journey.admin.dead_letters import audit_log
from journey.admin.dead_letters.redrive import DROP, REDRIVE, DeadLetterAction, redrive_or_drop
from tests.support.dead_letter_fixtures import INBOX, SERVICE, Scene, dying_on
from tests.support.infrastructure import VirtualHost
from tests.support.recording_consumer import placed

pytestmark = pytest.mark.real

BACK = DeadLetterAction(REDRIVE, "a test")


@pytest.fixture
async def scene(vhost: VirtualHost) -> AsyncIterator[Scene]:
    async with dying_on(vhost) as made:
        yield made


async def test_every_action_is_audited_before_it_happens(scene: Scene) -> None:
    kept, dropped = placed(), placed()
    await scene.die(kept, dropped)
    by_id = {dead_letter.id: dead_letter for dead_letter in await scene.dead_letters()}
    begin = datetime.now(UTC)
    await redrive_or_drop(scene.operator, [by_id[kept.message_id or ""]], BACK)
    await redrive_or_drop(
        scene.operator, [by_id[dropped.message_id or ""]], DeadLetterAction(DROP, "Ada", "paid by hand")
    )
    first, second = await audit_log.read(scene.operator)
    assert (first.action, first.message_id, first.by, first.queue) == (
        REDRIVE,
        kept.message_id,
        "a test",
        INBOX,
    )
    assert (second.action, second.message_id, second.by, second.reason) == (
        DROP, dropped.message_id, "Ada", "paid by hand",
    )  # fmt: skip
    assert (second.type, second.journey_id, second.service) == (
        "order.placed.v1",
        dropped.correlation_id,
        SERVICE,
    )
    assert begin <= first.at <= second.at
    assert await audit_log.read(scene.operator, since=second.at) == [second]
    assert [wire_message.message_id for wire_message in await scene.arrived()] == [kept.message_id]


async def test_no_service_may_write_into_the_audit_log(scene: Scene) -> None:
    forged = WireMessage("", "audit", b"{}", "1", audit_log.ACT, SERVICE, None)
    [refused] = await (await scene.bus(SERVICE)).publish([forged])
    assert refused is not None and "refused" in str(refused).lower()
