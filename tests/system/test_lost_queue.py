"""A queue is deleted manually under load: its service reports it,
and its messages are restored from the journal.
"""

import asyncio

import httpx
import pytest

from journey.devenv.process_shop import ProcessShop
from tests.support.eventually import until
from tests.support.system_fixtures import Crowd
from tests.system.test_backfill import PATIENCE_S, journey

pytestmark = [pytest.mark.real, pytest.mark.system, pytest.mark.timeout(1200)]

QUEUE = "payment_svc.events"
WAIT_S = 300.0
# RabbitMQ 3.10 loses a quorum queue that is younger than this when it is killed.
REMEMBERED_S = 2.0


async def test_a_queue_that_is_deleted_by_hand_is_noticed_and_what_it_held_is_backfilled(
    system: ProcessShop, crowd: Crowd
) -> None:
    enough = asyncio.Event()
    load = asyncio.create_task(crowd.place_over_time(60, pause_s=0.2, until=enough.is_set))
    async with httpx.AsyncClient(base_url=system.endpoints.http["payment_svc"], timeout=60) as service:
        await until(lambda: len(crowd.expected) >= 20, within_s=PATIENCE_S)
        async with system.admin as admin:
            await admin.delete_queue(system.endpoints.vhost, QUEUE)
        answer = await until(
            lambda: service.get("/readyz"), lambda answer: answer.status_code == 503, within_s=PATIENCE_S
        )
        assert answer.json()["detail"] == "the broker has not registered our consumers"
        assert (await service.get("/healthz")).status_code == 200
        assert f"queue {QUEUE} is missing" in await system.topology_plan()
        during = len(crowd.expected)
        # whose events it never receives
        await until(lambda: len(crowd.expected) >= during + 20, within_s=PATIENCE_S)

        await system.apply_topology()
        await asyncio.sleep(REMEMBERED_S)
        await until(
            lambda: service.get("/readyz"), lambda answer: answer.status_code == 200, within_s=PATIENCE_S
        )
    enough.set()
    await load
    await journey(system, "backfill", "payment_svc", "--since", "1h")
    await crowd.all_end_as_expected(wait_s=WAIT_S)
    await crowd.one_mail_each(wait_s=WAIT_S)
    await crowd.doctor_agrees()
