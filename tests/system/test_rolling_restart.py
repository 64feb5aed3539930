"""A rolling restart under load, as in an upgrade: start a second instance, then stop the first."""

import asyncio

import psutil
import pytest

from journey.admin.registry import SERVICES
from journey.devenv.process_shop import ProcessShop
from tests.support.system_fixtures import OrderLoad, under_load

pytestmark = [pytest.mark.real, pytest.mark.system, pytest.mark.timeout(1200)]

GRACE_S = 30.0


@pytest.mark.parametrize(
    "system", [{"cold": True}], indirect=True
)  # a fork server would get their exit codes
async def test_a_rolling_restart_under_load_dead_letters_nothing(
    system: ProcessShop, order_load: OrderLoad
) -> None:
    async with under_load(order_load, 100, 0.1):
        for name in SERVICES:
            system.start(name, instance=2)
            await system.ready([f"{name}.2"])
            await goes_well(system, name)
            system.start(name)
            await system.ready([name])
            await goes_well(system, f"{name}.2")


async def goes_well(system: ProcessShop, process: str) -> None:
    """After SIGTERM, it ends by itself within a container's grace period."""
    record = system.processes.running(process)
    assert record is not None
    child = psutil.Process(record.pid)
    child.terminate()
    assert await asyncio.to_thread(child.wait, GRACE_S) == 0
    name, _, instance = process.partition(".")
    await system.stop(name, int(instance or 1))
