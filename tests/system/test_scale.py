"""Several instances of services under load: some come, some are killed, some go; nothing is lost or done twice."""

import asyncio

import httpx
import pytest

from journey.instances import answering, counts
from journey.place import recorded
from journey.system import System
from tests.system.conftest import Crowd

pytestmark = [pytest.mark.real, pytest.mark.system, pytest.mark.timeout(1200)]

WAIT_S = 300.0
MORE = {"order_svc": 3, "payment_svc": 2, "inventory_svc": 2}
FEWER = {"order_svc": 1, "payment_svc": 1, "inventory_svc": 2}


async def test_instances_come_are_killed_and_go_under_load(system: System, crowd: Crowd) -> None:
    enough = asyncio.Event()
    load = asyncio.create_task(crowd.place_over_time(60, pause_s=0.2, until=enough.is_set))
    try:
        await system.scale(MORE)
        assert {service: _counts(system)[service] for service in MORE} == MORE

        await system.kill("order_svc")
        await system.kill("payment_svc", 2)
        async with httpx.AsyncClient() as http:
            asked = await answering(http, system.place.http)
        assert asked["order_svc"] in {system.place.http[name] for name in ("order_svc.2", "order_svc.3")}
        await crowd.place(20)

        await system.scale(MORE)  # those that were killed start again
        assert system.processes.running("order_svc") and system.processes.running("payment_svc.2")
        await system.scale(FEWER)
        assert {service: _counts(system)[service] for service in FEWER} == FEWER
        assert system.processes.running("order_svc.2") is None
    finally:
        enough.set()
        await load
    await crowd.all_end_as_expected(wait_s=WAIT_S)
    await crowd.one_mail_each(wait_s=WAIT_S)
    await crowd.doctor_agrees()  # also: no dead letter


def _counts(system: System) -> dict[str, int]:
    """As another shell sees it, which reads what is written down."""
    place = recorded(system.state_dir)
    assert place is not None
    return counts(place.http)
