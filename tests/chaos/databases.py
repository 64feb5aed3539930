"""A replica set whose members are addressed through proxies, by clients and by each other."""

import asyncio
import random
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path
from typing import Any

from pymongo import AsyncMongoClient
from pymongo.errors import AutoReconnect, PyMongoError

from journey.admin.progress_log import Log
from journey.devenv.infra.local_mongo import LocalMongo
from journey.devenv.infra.ports import free_ports
from tests.chaos.network import Network
from tests.chaos.process_faults import frozen
from tests.support.eventually import until
from tests.support.proxy import Proxy

WELL_S_MAX = 90.0
STEPPED_DOWN_S = 15
CATCH_UP_S = 10


class Members(LocalMongo):
    """One mongod, or three with failover."""

    def __init__(self, state_dir: Path, proxies: Sequence[Proxy], listening: Sequence[int]) -> None:
        super().__init__(state_dir, nodes=len(listening))
        self._announced = [proxy.port for proxy in proxies]
        self._listening = listening
        self.network = Network(proxies, self.well)

    def _settle_ports(self) -> None:
        """A member announces the port of its proxy, and keeps its own port when it restarts."""
        if not (self.dir / "settings.json").exists():
            self._keep(ports=self._announced)

    def _start_node(self, program: Path, node: int, port: int) -> None:
        super()._start_node(program, node, self._listening[self.ports.index(port)])

    async def restart(self, moments: random.Random) -> None:
        await self.processes.stop(_process(await self._the_primary()))
        await self._back()

    async def kill_primary(self, moments: random.Random) -> None:
        await self._kill(await self._the_primary(), moments)

    async def kill_secondary(self, moments: random.Random) -> None:
        primary = await self._the_primary()
        await self._kill(moments.choice([node for node in self._all() if node != primary]), moments)

    async def freeze_primary(self, moments: random.Random) -> None:
        with frozen(self.processes, _process(await self._the_primary())):
            await asyncio.sleep(moments.uniform(3, 10))
        await self.well()

    async def step_down(self, moments: random.Random) -> None:
        """The primary steps down, as for maintenance, and another one is elected."""
        async with self._member(await self._the_primary()) as client:
            with suppress(AutoReconnect):  # it may disconnect its clients
                await client.admin.command(
                    {
                        "replSetStepDown": STEPPED_DOWN_S,
                        "secondaryCatchUpPeriodSecs": CATCH_UP_S,
                        "force": True,
                    }
                )
        await self.well()

    async def well(self) -> None:
        """Wait until every member is healthy, and all agree on the primary."""
        await until(self._is_well, within_s=WELL_S_MAX, otherwise="the replica set is not complete")

    async def end(self) -> None:
        """SIGKILL: the data is not needed any more."""
        for node in self._all():
            await self.kill(node)

    async def _kill(self, node: int, moments: random.Random) -> None:
        await self.kill(node)
        await asyncio.sleep(moments.uniform(0, 5))
        await self._back()

    async def _back(self) -> None:
        await self.start(log=lambda text: None)
        await self.well()

    async def _the_primary(self) -> int:
        await self.well()
        found = await self.primary()
        return await self._the_primary() if found is None else found

    async def _is_well(self) -> bool:
        output = [await self._hello(node) for node in self._all()]
        serving = [hello for hello in output if hello.get("isWritablePrimary") or hello.get("secondary")]
        return len(serving) == self.nodes and len({hello.get("primary") for hello in serving} - {None}) == 1

    async def _hello(self, node: int) -> dict[str, Any]:
        async with self._member(node) as client:
            try:
                return await client.admin.command("hello")
            except PyMongoError:
                return {}

    def _member(self, node: int) -> AsyncMongoClient[dict[str, Any]]:
        """A direct connection to one member, past its proxy, whatever its state."""
        return self._client(self._listening[node - 1], login=True)


@asynccontextmanager
async def replica_set(state_dir: Path, nodes: int, log: Log) -> AsyncIterator[Members]:
    listening = free_ports(nodes)
    async with AsyncExitStack() as stack:
        proxies = [
            await stack.enter_async_context(Proxy(f"mongodb://127.0.0.1:{port}", port)) for port in listening
        ]
        members = Members(state_dir, proxies, listening)
        stack.push_async_callback(members.end)
        await members.start(log)
        await members.well()
        yield members


def _process(node: int) -> str:
    return f"mongo{node}"
