"""The example clients in Node and in Python with pika, on a real shop,
with credentials as in docs/clients.md.
"""

import asyncio
import json
import os
import shutil
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID, uuid4

import httpx
import pytest

from contracts import orders
from contracts.catalog import NAMES
from journey.admin.diagnosis import doctor
from journey.admin.ssl_context import tls
from journey.devenv.infra.node import install_packages, node
from journey.devenv.process_shop import ROOT, ProcessShop
from journey.devenv.shop import register
from tests.support.cli_runner import run_journey
from tests.support.eventually import until

pytestmark = [pytest.mark.real, pytest.mark.system, pytest.mark.timeout(1200)]

EXAMPLES = ROOT / "examples"
WAIT_S = 300.0


@dataclass(frozen=True)
class Program:
    """An example client, ready to run."""

    command: list[str | Path]
    directory: Path

    async def run(self, url: str, *parts: str) -> tuple[int, list[str]]:
        """The exit code and the printed lines."""
        environment = {"PATH": os.environ["PATH"], "AMQP_URL": url}
        child = await asyncio.create_subprocess_exec(
            *self.command,
            *parts,
            cwd=self.directory,
            env=environment,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        async with asyncio.timeout(WAIT_S):
            output, _ = await child.communicate()
        assert child.returncode is not None
        return child.returncode, output.decode().splitlines()


@pytest.fixture(scope="session")
def node_program(tmp_path_factory: pytest.TempPathFactory) -> Program:
    """The packages are installed into a copy, so that the checkout stays clean."""
    found = node(print)
    project = tmp_path_factory.mktemp("node") / "client"
    shutil.copytree(EXAMPLES / "node", project, ignore=shutil.ignore_patterns("node_modules"))
    asyncio.run(install_packages(project))
    return Program([found, "main.mjs"], project)


@pytest.fixture(params=["node", "python_pika"])
def program(request: pytest.FixtureRequest) -> Program:
    if request.param == "node":
        made: Program = request.getfixturevalue("node_program")
        return made
    return Program([sys.executable, "main.py"], EXAMPLES / "python_pika")


@asynccontextmanager
async def credentials(system: ProcessShop, *options: str) -> AsyncIterator[str]:
    """The URL of a new client, obtained as in the docs."""
    name = f"example-{uuid4().hex[:8]}"
    added = await asyncio.to_thread(run_journey, system.state_dir, "client", "add", name, "--json", *options)
    assert added.returncode == 0, added.stdout + added.stderr
    try:
        yield json.loads(added.stdout)["url"]
    finally:
        removed = await asyncio.to_thread(run_journey, system.state_dir, "client", "remove", name)
        assert removed.returncode == 0, removed.stdout + removed.stderr


async def test_an_example_client_orders_follows_and_cancels(system: ProcessShop, program: Program) -> None:
    [customer] = await register(system, ["Ada"])
    async with credentials(system) as url:
        code, printed = await program.run(url, str(customer), "TEA-GREEN=2", "CUP-WHITE=1")
        assert code == 0, printed
        declined = await program.run(url, str(customer), "SAMOVAR-RARE=1")
    order_id, *events = printed
    confirmed, cancelled = orders.OrderConfirmed.TYPE, orders.OrderCancelled.TYPE
    assert list(dict.fromkeys(events)) == [confirmed, cancelled]
    assert declined[0] == 0
    assert declined[1][1:2] == [cancelled]
    async with httpx.AsyncClient(timeout=60, verify=tls()) as http:
        order = (await http.get(f"{system.endpoints.http['order_svc']}/orders/{UUID(order_id)}")).json()
        assert order["status"] == "cancelled"
        await until(lambda: _broken(http, system), lambda broken: not broken, within_s=WAIT_S)


async def test_a_program_learns_of_forbidden_and_unroutable_messages(
    system: ProcessShop, program: Program
) -> None:
    async with credentials(system, "--may", "cancel") as url:
        code, printed = await program.run(url, str(uuid4()), "TEA-GREEN=1")
        assert code == 1
        assert "ACCESS_REFUSED" in "".join(printed)
    async with credentials(system) as url, system.admin as admin:
        key = orders.PlaceOrder.TYPE
        binding = f"bindings/{system.endpoints.vhost}/e/{NAMES.commands}/q/order_svc.commands/{key}"
        await admin.ask("DELETE", binding)
        code, printed = await program.run(url, str(uuid4()), "TEA-GREEN=1")
        await system.apply_topology()
        assert code == 1
        assert "Unroutable" in "".join(printed) or "no queue takes it" in "".join(printed)


async def _broken(http: httpx.AsyncClient, system: ProcessShop) -> list[str]:
    findings = await doctor.settled(http, system.endpoints.http, system.dead, wait_s=5)
    return [finding.promise for finding in findings if not finding.holds]
