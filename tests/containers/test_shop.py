"""The shop in containers: outcomes of orders, instances under load, rolling updates, a stopped service."""

import json
import os
from pathlib import Path
from unittest import mock

import httpx
import pytest
from rich.console import Console

from chassis.telemetry.program import program_version
from journey.admin.endpoints import GATEWAY
from journey.admin.instances import counts
from journey.admin.registry import SERVICES
from journey.cli import demo
from journey.devenv import demo_users
from journey.devenv.compose_shop import FILES, ComposeShop
from journey.devenv.demo_customer import DemoCustomer
from journey.devenv.infra.ports import free_ports, is_free
from journey.devenv.process_shop import ROOT
from tests.containers.engine import compose, containers, docker, inspected, is_short
from tests.support.system_fixtures import OrderLoad, under_load

pytestmark = [pytest.mark.timeout(1800), pytest.mark.asyncio(loop_scope="package")]

MORE = {"order_svc": 3, "payment_svc": 2}
WAIT_S = 240.0
GATEWAYS = 3
NEXT = "99.0.0"
UPDATED = ("order_svc",) if is_short() else tuple(SERVICES)
LONG = pytest.mark.skipif(is_short(), reason="`make compose-test` runs it; the short form leaves it out")


async def test_containers_run_restricted_and_log_their_version(compose_shop: ComposeShop) -> None:
    for service in (*SERVICES, "gateway", "operations", "operator"):
        [container] = await containers(service)
        found = await inspected(container)
        assert found["HostConfig"]["ReadonlyRootfs"] and found["HostConfig"]["CapDrop"] == ["ALL"]
        assert found["State"]["Health"]["Status"] == "healthy"
        lines = (await docker("logs", container)).splitlines()
        logged = [json.loads(line) for line in lines if line.startswith("{")]
        assert logged and {line["version"] for line in logged} == {program_version()}


@LONG
async def test_every_scenario_of_the_demo_succeeds(compose_shop: ComposeShop) -> None:
    """Also one with notification_svc stopped, and one with payment_svc stopped."""
    await compose_shop.set("order_svc", ORDER_DEADLINE_S=str(demo.DEADLINE_S))
    try:
        assert await demo.run(compose_shop, Console())
    finally:
        await compose_shop.set("order_svc")


async def test_instances_start_and_stop_under_load(compose_shop: ComposeShop, order_load: OrderLoad) -> None:
    async with under_load(order_load, 50, 0.1, wait_s=WAIT_S):
        await compose_shop.scale(MORE, print)
        see(compose_shop, MORE)
        for service in MORE:
            await docker("kill", (await containers(service))[0])
        await compose_shop.locate()
        see(compose_shop, {service: count - 1 for service, count in MORE.items()})
        await order_load.place(50)
        await compose_shop.scale(MORE, print)
        await compose_shop.scale(dict.fromkeys(MORE, 1), print)
        see(compose_shop, dict.fromkeys(MORE, 1))


def see(shop: ComposeShop, wanted: dict[str, int]) -> None:
    found = {service: counts(shop.endpoints.http).get(service, 0) for service in wanted}
    assert found == wanted


@LONG
async def test_gateways_share_a_range_of_ports(compose_shop: ComposeShop) -> None:
    """As compose.yaml says. An order placed at one is followed at the others."""
    ports = next(
        f"{first}-{first + GATEWAYS - 1}"
        for first in free_ports(50)
        if all(is_free(first + more) for more in range(GATEWAYS))
    )
    url = f"http://127.0.0.1:{ports.partition('-')[0]}"
    ada = (await demo_users.ensure(compose_shop)).customer
    try:
        with mock.patch.dict(os.environ, SHOP_PORT=ports, SHOP_URL=url, COMPOSE_FILE=FILES):
            await compose("up", "--detach", "--wait", "--scale", f"{GATEWAY}={GATEWAYS}", GATEWAY)
            listening = [
                await compose("port", "--index", str(number), GATEWAY, "8000")
                for number in range(1, GATEWAYS + 1)
            ]
        async with httpx.AsyncClient(timeout=30) as http:
            each = [await DemoCustomer.logged_in(http, f"http://{where}", ada) for where in listening]
            order_id = await each[0].place({"TEA-GREEN": 1}, "tok_visa")
            followed = [[event async for event in customer.follow(order_id)] for customer in each]
        assert len(set(listening)) == GATEWAYS
        assert {events[-1]["status"] for events in followed} == {"confirmed"}
    finally:
        await compose_shop.set(GATEWAY)


async def test_orders_end_while_notification_svc_is_stopped(
    compose_shop: ComposeShop, order_load: OrderLoad
) -> None:
    await compose_shop.stop("notification_svc")
    await order_load.place(40)
    await order_load.all_end_as_expected(wait_s=WAIT_S)
    compose_shop.start("notification_svc")
    await compose_shop.ready(["notification_svc"])
    await order_load.one_mail_each(wait_s=WAIT_S)
    await order_load.doctor_agrees()


async def test_a_rolling_update_under_load_loses_nothing(
    compose_shop: ComposeShop, order_load: OrderLoad, tmp_path: Path
) -> None:
    await compose_shop.scale({"order_svc": 2}, print)
    for service in UPDATED:
        build = ("--build-arg", f"SERVICE={service}", "--build-arg", f"VERSION={NEXT}")
        await docker("build", "--quiet", *build, "--tag", updated_image(service), str(ROOT), timeout_s=600)
    override = tmp_path / "updated.yaml"
    override.write_text(json.dumps({"services": {name: {"image": updated_image(name)} for name in UPDATED}}))
    with mock.patch.dict(os.environ, COMPOSE_FILE=f"{FILES}{os.pathsep}{override}"):
        async with under_load(order_load, 50, 0.1, wait_s=WAIT_S):
            for service in UPDATED:
                await update(service)
                await compose_shop.locate()
        for service in UPDATED:
            assert {await version(container) for container in await containers(service)} == {NEXT}


def updated_image(service: str) -> str:
    return f"order-journey/test-updated:{service}"


async def update(service: str) -> None:
    """Replaces each instance: one of the new image starts; when it is ready, one of the old image stops."""
    old = await containers(service)
    for container in old:
        more = ("--no-deps", "--no-recreate", "--scale", f"{service}={len(old) + 1}")
        await compose("up", "--detach", "--wait", *more, service)
        await docker("stop", "--time", "28", container)
        assert (await inspected(container))["State"]["ExitCode"] == 0
        await docker("rm", container)
    assert not set(old) & set(await containers(service))
    assert len(await containers(service)) == len(old)


async def version(container: str) -> str:
    labels = (await inspected(container))["Config"]["Labels"]
    return str(labels["org.opencontainers.image.version"])
