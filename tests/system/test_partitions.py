"""The whole shop with two partitions of order_svc: orders are confirmed while its instances come and go."""

import pytest

from chassis.messaging.partitions import partition_queues
from journey.devenv.process_shop import ProcessShop
from tests.support.eventually import until
from tests.support.system_fixtures import OrderLoad, under_load

pytestmark = [pytest.mark.real, pytest.mark.system, pytest.mark.timeout(1200)]

WAIT_S = 120.0
QUEUES = [*partition_queues("order_svc.events", 2), *partition_queues("order_svc.commands", 2)]


@pytest.mark.parametrize("system", [{"PARTITIONS": "order_svc=2"}], indirect=True)
async def test_orders_are_confirmed_with_two_partitions(system: ProcessShop, order_load: OrderLoad) -> None:
    assert await system.topology_plan() == []
    await order_load.place(40)
    async with under_load(order_load):
        await system.scale({"order_svc": 2})
        await system.kill("order_svc", 1)
    await until(lambda: ready(system), lambda counts: counts == [0] * len(QUEUES), within_s=WAIT_S)


async def ready(system: ProcessShop) -> list[int | None]:
    """The messages that wait in each partition; the broker updates these counts every few seconds."""
    async with system.admin as admin:
        depths = await admin.depths(system.endpoints.vhost)
    return [depths[queue].ready for queue in QUEUES]
