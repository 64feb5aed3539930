"""Several instances of services under load: some start, some are killed, some stop;
nothing is lost or done twice.
"""

import asyncio
import os
import signal

import httpx
import pytest

from journey.admin.endpoints import GATEWAY, recorded
from journey.admin.instances import counts, responding
from journey.admin.registry import SERVICES, WEB_PROGRAMS
from journey.devenv import demo_users
from journey.devenv.process_shop import ProcessShop
from tests.support.cli_runner import run_journey
from tests.support.instance_counts import HANDLED, counted
from tests.support.system_fixtures import OrderLoad, under_load

pytestmark = [pytest.mark.real, pytest.mark.system, pytest.mark.timeout(1200)]

WAIT_S = 300.0
LOG_IN = "/api/v1/sessions"
MORE = dict.fromkeys(SERVICES, 2) | {"order_svc": 3}
FEWER = dict.fromkeys(SERVICES, 1) | {"inventory_svc": 2}
# Those that handle the messages of each order.
SHARED = (
    "order_svc",
    "inventory_svc",
    "payment_svc",
    "notification_svc",
)


async def test_instances_start_die_and_stop_under_load(system: ProcessShop, order_load: OrderLoad) -> None:
    """Of every service: started, some killed, restarted, drained and stopped, while orders are placed."""
    async with under_load(order_load, mailers_killed=1):
        await system.scale(MORE)
        assert {service: _counts(system)[service] for service in MORE} == MORE

        await asyncio.gather(
            *(system.kill(service, 1 if service == "order_svc" else 2) for service in SERVICES)
        )
        async with httpx.AsyncClient() as http:
            asked = await responding(http, system.endpoints.http)
        assert asked["order_svc"] in {system.endpoints.http[name] for name in ("order_svc.2", "order_svc.3")}
        await order_load.place(20)

        await system.scale(MORE)  # restarts the killed ones
        assert all(system.processes.running(service) for service in SERVICES)
        assert all(system.processes.running(f"{service}.2") for service in SERVICES)
        await system.scale(FEWER)
        assert {service: _counts(system)[service] for service in FEWER} == FEWER
        assert system.processes.running("order_svc.2") is None


async def test_instances_share_the_work_of_a_service(system: ProcessShop, order_load: OrderLoad) -> None:
    """Counted in messages: each instance handles at least a third of an equal share."""
    await system.scale(MORE)
    before = {service: await _handled(system, service) for service in SHARED}
    for _ in range(4):
        await order_load.place(60)
    await order_load.all_end_as_expected(wait_s=WAIT_S)
    await order_load.one_mail_each(wait_s=WAIT_S)
    for service in SHARED:
        now = await _handled(system, service)
        shares = {number: count - before[service][number] for number, count in now.items()}
        assert len(shares) == MORE[service]
        assert min(shares.values()) >= sum(shares.values()) / len(shares) / 3, (service, shares)
    await order_load.doctor_agrees()


@pytest.mark.parametrize("signal_", [signal.SIGKILL, signal.SIGSTOP])
async def test_tools_pages_and_mails_do_without_the_first_instance(
    system: ProcessShop, order_load: OrderLoad, signal_: signal.Signals
) -> None:
    """SIGSTOP: the process accepts connections and does not respond."""
    await system.scale(dict.fromkeys(SERVICES, 2))
    for name in WEB_PROGRAMS:
        system.start(name)
    await system.ready(list(WEB_PROGRAMS))
    await order_load.place(6)
    await order_load.all_end_as_expected(wait_s=WAIT_S)
    await order_load.one_mail_each(wait_s=WAIT_S)
    await demo_users.ensure(system)
    stopped = [record.pid for service in SERVICES if (record := system.processes.running(service))]
    assert len(stopped) == len(SERVICES)
    for pid in stopped:
        os.kill(pid, signal_)
    try:
        if signal_ is signal.SIGKILL:  # a stopped process keeps messages until its heartbeats are missed
            await order_load.place(6)
            await order_load.all_end_as_expected(wait_s=WAIT_S)
            await order_load.one_mail_each(wait_s=WAIT_S)
        order_id = str(next(iter(order_load.expected)))
        for parts in (("explain", order_id), ("stuck",), ("watch", order_id), ("stock",), ("replay",)):
            done = await asyncio.to_thread(run_journey, system.state_dir, *parts)
            assert done.returncode == 0, (parts, done.stdout, done.stderr)
        await order_load.doctor_agrees()
        people = await demo_users.ensure(system)
        async with httpx.AsyncClient(timeout=30) as http:
            form = {"email": people.customer.email, "password": people.customer.password}
            url = f"{system.endpoints.public[GATEWAY]}{LOG_IN}"
            first = (await http.post(url, json=form)).status_code
            # A request that a stopped process may have carried out is not sent to another one; the next
            # request is.
            assert first == 201 or signal_ is signal.SIGSTOP
            assert (await http.post(url, json=form)).status_code == 201
            assert (await http.get(f"{system.endpoints.http['operations']}/readyz")).is_success
    finally:
        if signal_ is signal.SIGSTOP:
            for pid in stopped:
                os.kill(pid, signal.SIGCONT)


async def _handled(system: ProcessShop, service: str) -> dict[int, int]:
    return await counted(system.endpoints.http, service, HANDLED)


def _counts(system: ProcessShop) -> dict[str, int]:
    """As another shell sees it, from the state directory."""
    endpoints = recorded(system.state_dir)
    assert endpoints is not None
    return counts(endpoints.http)
