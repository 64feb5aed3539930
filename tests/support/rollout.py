"""A shop whose instances run the code of different checkouts, and orders that continue during an update."""

import asyncio
import os
import random
import sys
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import IO

from chassis.bus.rabbitmq import RabbitBus
from chassis.connection_urls import with_password
from chassis.messaging.envelope import wrap
from chassis.messaging.identity import new_id
from contracts.catalog import CATALOG
from contracts.users import UserErased
from journey.admin.endpoints import GATEWAY, record
from journey.admin.instances import process_of
from journey.admin.registry import CONSUMING_SERVICES
from journey.devenv import addresses
from journey.devenv.infra.model import Infrastructure
from journey.devenv.process_shop import ROOT, ProcessShop
from journey.devenv.shop import register, seed
from tests.support.fork_server import ForkServerProcesses
from tests.support.infrastructure import fresh_system
from tests.support.proxy import Proxy
from tests.support.releases import TREES
from tests.support.system_fixtures import OrderLoad, placing

OPERATIONS = "operations"
GRACE_S = 28.0
_SETTINGS = {
    **dict.fromkeys(("RATE_ORDERS", "RATE_USER", "RATE_ANONYMOUS"), "100000"),
    "COOKIES_INSECURE": "1",  # other than a browser, the test's client sends secure cookies over TLS only
}
DELAY_SCALE = 0.05  # the retry ladder's 5 s and 1 min become 0.25 s and 3 s
SERVICES = (*CONSUMING_SERVICES, OPERATIONS)


class _ReleaseProcesses(ForkServerProcesses):
    """Starts services with the code of `tree`."""

    def __init__(self, state_dir: Path, tree: Path, proxies: Mapping[str, Proxy]) -> None:
        super().__init__(state_dir)
        self.tree = tree
        self._urls = {
            f"{name.upper()}_URL": f"http://127.0.0.1:{each.port}" for name, each in proxies.items()
        }

    def spawn(
        self, command: list[str], output: IO[bytes], env: Mapping[str, str] | None, cwd: Path | None
    ) -> int:
        settings = {**(env or {}), **self._urls, "PYTHONPATH": str(self.tree)}
        if self.tree.parent == TREES and (file := settings.get("MONGO_PASSWORD_FILE")):
            # Release 0.1.0 does not read this file.
            settings["MONGO_URL"] = with_password(settings["MONGO_URL"], Path(file).read_text().strip())
        return super().spawn(command, output, settings, self.tree)


class Rollout:
    """Replaces the instances of a running shop, one service after the other.

    `proxies`: the addresses by which services call each other. They stay, as DNS names do, while instances
    come and go. `public`: that of the gateway for browsers.
    """

    def __init__(
        self,
        system: ProcessShop,
        processes: _ReleaseProcesses,
        proxies: Mapping[str, Proxy],
        *,
        public: Proxy,
    ) -> None:
        self.system = system
        self._processes = processes
        self._proxies = proxies
        self._public = public
        self._instance = dict.fromkeys(SERVICES, 1)

    async def update(self, service: str, tree: Path) -> None:
        """Start an instance with the code of `tree` beside the running one, then stop that."""
        before = self._instance[service]
        after = 3 - before
        old, new = process_of(service, before), process_of(service, after)
        self._processes.tree = tree
        endpoints = self.system.endpoints
        for known in (endpoints.http, endpoints.public):
            if old in known:  # the port that it had may belong to another program by now
                known[new] = addresses.another({*endpoints.http.values(), *endpoints.public.values()})
        self.system.start(service, after)
        record(self.system.state_dir, endpoints)
        await self.system.ready([new])
        if service in self._proxies:
            self._proxies[service].redirect(endpoints.http[new])
        if service == GATEWAY:
            self._public.redirect(endpoints.public[new])
        for known in (endpoints.http, endpoints.public):
            if old in known:
                known[old] = known[new]
        record(self.system.state_dir, endpoints)
        began = asyncio.get_running_loop().time()
        await self.system.stop(service, before)
        took_s = asyncio.get_running_loop().time() - began
        assert took_s < GRACE_S, f"{service} did not end by itself within {took_s:.0f} s"
        self._instance[service] = after

    def address(self, service: str) -> str:
        """Where the running instance takes requests of browsers."""
        endpoints = self.system.endpoints
        known = endpoints.public if service == GATEWAY else endpoints.http
        return known[process_of(service, self._instance[service])]

    async def update_all(self, services: Iterable[str], tree: Path) -> None:
        for service in services:
            await self.update(service, tree)

    @property
    def shop_url(self) -> str:
        """Where browsers find the gateway, whichever instance runs."""
        return f"http://127.0.0.1:{self._public.port}"

    async def apply_topology(self, tree: Path) -> None:
        """The topology of another checkout, by its own code."""
        system = self.system
        management_url = system.infrastructure.management_url
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-P", Path(__file__).with_name("apply_topology.py")),
            *(system.endpoints.vhost, str(DELAY_SCALE)),
            cwd=tree,
            env={**os.environ, "PYTHONPATH": str(tree), "RABBITMQ_MANAGEMENT_URL": management_url},
        )
        assert await process.wait() == 0

    def logs(self) -> str:
        """What all instances have logged."""
        folder = self.system.state_dir / "log"
        return "\n".join(path.read_text(errors="replace") for path in folder.glob("*.log"))


@asynccontextmanager
async def shop_of(tree: Path, infrastructure: Infrastructure, state_dir: Path) -> AsyncIterator[Rollout]:
    """All programs with the code of `tree`; its topology, and then that of this checkout."""
    async with (
        fresh_system(infrastructure, state_dir, DELAY_SCALE, _SETTINGS) as system,
        AsyncExitStack() as stack,
    ):
        proxies = {
            name: await stack.enter_async_context(Proxy(system.endpoints.http[name], 80)) for name in SERVICES
        }
        public = await stack.enter_async_context(Proxy(system.endpoints.public[GATEWAY], 80))
        processes = _ReleaseProcesses(state_dir, tree, proxies)
        system.processes = processes
        rollout = Rollout(system, processes, proxies, public=public)
        if tree != ROOT:
            await rollout.apply_topology(tree)
        await system.up(lambda text: None, web=True)
        await seed(system)
        yield rollout


@asynccontextmanager
async def orders_during(system: ProcessShop, chosen: random.Random) -> AsyncIterator[OrderLoad]:
    """Orders arrive until the block ends."""
    load = OrderLoad(system, await register(system, ["Ada", "Grace", "Edsger"]), chosen.randrange(10**6))
    async with placing(load, 40, 0.25):
        yield load


@asynccontextmanager
async def erasures_during(system: ProcessShop) -> AsyncIterator[set[str]]:
    """user_svc publishes `UserErased` until the block ends: the event of which release 0.1.0 of the gateway
    does not know that it needs it. Yields the ids of the accounts.
    """
    bus, erased, enough = RabbitBus(system.endpoints.amqp_url("user_svc")), set[str](), asyncio.Event()

    async def publish() -> None:
        while not enough.is_set():
            event = UserErased(user_id=new_id())
            sent = wrap(event, id=str(new_id()), source="user_svc", now=datetime.now(UTC))
            if await bus.publish([sent.wire_message(CATALOG)]) == [None]:
                erased.add(event.subject)
            await asyncio.sleep(0.25)

    await bus.start()
    try:
        async with asyncio.TaskGroup() as publishing:
            publishing.create_task(publish())
            try:
                yield erased
            finally:
                enough.set()
    finally:
        await bus.stop()


async def all_went_well(rollout: Rollout, load: OrderLoad, wait_s: float) -> None:
    """Nothing is lost, nothing is done twice, and nothing is a dead letter.

    A mail is sent again if the mail server did not respond in time, as on a busy machine (decision 8).
    """
    await load.all_end_as_expected(wait_s=wait_s)
    unanswered = rollout.logs().count("EffectUnavailable")
    copies = await load.one_mail_each(wait_s=wait_s, copies_max=2 if unanswered else 1)
    assert copies <= unanswered
    await load.doctor_agrees()
