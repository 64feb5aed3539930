"""The whole shop with two partitions of order_svc: orders are confirmed while its instances come and go."""

import asyncio

import pytest

from chassis.messaging.partitions import partition_queues
from journey.devenv.process_shop import ProcessShop
from tests.support.system_fixtures import OrderLoad

pytestmark = [pytest.mark.real, pytest.mark.system, pytest.mark.timeout(1200)]

WAIT_S = 300.0
QUEUES = [*partition_queues("order_svc.events", 2), *partition_queues("order_svc.commands", 2)]


@pytest.mark.parametrize("system", [{"PARTITIONS": "order_svc=2"}], indirect=True)
async def test_orders_are_confirmed_with_two_partitions(system: ProcessShop, order_load: OrderLoad) -> None:
    assert await system.topology_plan() == []
    await order_load.place(40)
    enough = asyncio.Event()
    load = asyncio.create_task(order_load.place_over_time(60, pause_s=0.2, until=enough.is_set))
    try:
        await system.scale({"order_svc": 2})
        await system.kill("order_svc", 1)
    finally:
        enough.set()
        await load
    await order_load.all_end_as_expected(wait_s=WAIT_S)
    await order_load.one_mail_each(wait_s=WAIT_S)
    await order_load.doctor_agrees()  # also: no dead letter
    async with system.admin as admin:
        depths = await admin.depths(system.endpoints.vhost)
    assert [depths[queue].ready for queue in QUEUES] == [0] * len(QUEUES)
