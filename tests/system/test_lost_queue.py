"""A queue is deleted manually under load: its service reports it,
and its messages are restored from the journal.
"""

import asyncio

import httpx
import pytest

from journey.devenv.process_shop import ProcessShop
from tests.support.eventually import until
from tests.support.system_fixtures import OrderLoad, placing
from tests.system.test_backfill import WAIT_S_MAX, journey

pytestmark = [pytest.mark.real, pytest.mark.system, pytest.mark.timeout(1200)]

QUEUE = "payment_svc.events"
WAIT_S = 300.0
# RabbitMQ 3.10 loses a quorum queue that is younger than this when it is killed.
REMEMBERED_S = 2.0


async def test_a_deleted_queue_is_noticed_and_backfilled(system: ProcessShop, order_load: OrderLoad) -> None:
    async with (
        placing(order_load),
        httpx.AsyncClient(base_url=system.endpoints.http["payment_svc"], timeout=60) as service,
    ):
        await until(lambda: len(order_load.expected) >= 20, within_s=WAIT_S_MAX)
        async with system.admin as admin:
            await admin.delete_queue(system.endpoints.vhost, QUEUE)
        response = await until(
            lambda: service.get("/readyz"),
            lambda response: response.status_code == 503,
            within_s=WAIT_S_MAX,
        )
        assert response.json()["detail"] == "the broker has not registered our consumers"
        assert (await service.get("/healthz")).status_code == 200
        assert f"queue {QUEUE} is missing" in await system.topology_plan()
        during = len(order_load.expected)
        # whose events it never receives
        await until(lambda: len(order_load.expected) >= during + 20, within_s=WAIT_S_MAX)

        await system.apply_topology()
        await asyncio.sleep(REMEMBERED_S)
        await until(
            lambda: service.get("/readyz"),
            lambda response: response.status_code == 200,
            within_s=WAIT_S_MAX,
        )
    await journey(system, "backfill", "payment_svc", "--since", "1h")
    await order_load.all_end_as_expected(wait_s=WAIT_S)
    await order_load.one_mail_each(wait_s=WAIT_S)
    await order_load.doctor_agrees()
