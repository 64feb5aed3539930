"""Faults of the services, killed, frozen, restarted; and of the card provider."""

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress

import httpx
import psutil

from journey.admin.infrastructure_unavailable import InfrastructureUnavailable
from journey.admin.progress_log import Log
from journey.admin.registry import SERVICES
from journey.devenv.infra.causes import last_message
from journey.devenv.infra.ports import free_ports
from journey.devenv.process_shop import ProcessShop
from tests.chaos.environment import Fault
from tests.support.order_neighbours import part_in_orders

INSTANCES = (1, 2)
BACK_S_MAX = 150.0
FROZEN_S = 5.0, 15.0
OUTAGE_S = 3.0, 10.0
ASKS_PROVIDER = "payment_svc"
_LOOK_S = 1.0
_LINES = 20
_BACKGROUND_ERROR = '"event": "background task failed"'


class Fleet:
    """Two instances of every service.

    A fault has its instance for itself; instances that end are restarted.
    """

    def __init__(self, system: ProcessShop, log: Log) -> None:
        self.system = system
        self._log = log
        self._struck = {(name, instance): asyncio.Lock() for name in SERVICES for instance in INSTANCES}
        self.broken: list[str] = []

    @property
    def faults(self) -> tuple[Fault, ...]:
        return (
            Fault("service: kill -9", self.kill),
            Fault("service: frozen", self.freeze),
            Fault("service: restart", self.restart),
            Fault("provider: outage", self.outage),
        )

    async def up(self) -> None:
        """Start the second instances, after `ProcessShop.up`.

        Their ports are chosen together, so they differ.
        """
        addresses = self.system.endpoints.http
        missing = [_process(*each) for each in self._struck if _process(*each) not in addresses]
        addresses |= {
            process: f"http://127.0.0.1:{port}"
            for process, port in zip(missing, free_ports(len(missing)), strict=True)
        }
        for name, instance in self._struck:
            self.system.start(name, instance)
        await self.system.ready([_process(*each) for each in self._struck])

    async def kill(self, moments: random.Random) -> None:
        async with self._one(moments) as (name, instance):
            await self.system.kill(name, instance)
            await asyncio.sleep(moments.uniform(0, 2))
            await self._start(name, instance)

    async def freeze(self, moments: random.Random) -> None:
        """Its connections stay open, and it keeps its unacknowledged messages."""
        async with self._one(moments) as (name, instance):
            record = self.system.processes.running(_process(name, instance))
            if record is None:  # it has just ended; `restart_ended` restarts it
                return
            process = psutil.Process(record.pid)
            process.suspend()
            try:
                await asyncio.sleep(moments.uniform(*FROZEN_S))
            finally:
                with suppress(psutil.NoSuchProcess):
                    process.resume()
            await self._back(name, instance)

    async def restart(self, moments: random.Random) -> None:
        async with self._one(moments) as (name, instance):
            await self.system.stop(name, instance)
            await self._start(name, instance)

    async def outage(self, moments: random.Random) -> None:
        """The card provider does not respond.

        It runs in both instances, so no other fault may affect them.
        """
        asking = [(ASKS_PROVIDER, instance) for instance in INSTANCES]
        switches = [f"{self.system.endpoints.http[_process(*each)]}/provider/outage" for each in asking]
        async with AsyncExitStack() as stack:
            for each in asking:
                await stack.enter_async_context(self._struck[each])
            http = await stack.enter_async_context(httpx.AsyncClient(timeout=30))
            for switch in switches:
                (await http.put(switch)).raise_for_status()
            try:
                await asyncio.sleep(moments.uniform(*OUTAGE_S))
            finally:
                for switch in switches:
                    (await http.delete(switch)).raise_for_status()

    async def restart_ended(self) -> None:
        """Restarts ended instances, as `restart: always` does in compose."""
        while True:
            for (name, instance), struck in self._struck.items():
                if not struck.locked():
                    self._start_again_if_ended(name, instance)
            await asyncio.sleep(_LOOK_S)

    async def all_back(self) -> None:
        for name, instance in self._struck:
            await self._back(name, instance)

    @asynccontextmanager
    async def _one(self, moments: random.Random) -> AsyncIterator[tuple[str, int]]:
        free = [each for each, struck in self._struck.items() if not struck.locked()]
        [chosen] = moments.choices(free, weights=[part_in_orders(name) for name, _ in free])
        async with self._struck[chosen]:
            yield chosen

    async def _start(self, name: str, instance: int) -> None:
        self.system.start(name, instance)
        await self._back(name, instance)

    async def _back(self, name: str, instance: int) -> None:
        """Until it consumes.

        Broker and database may be affected at the same time, so the time limit is long.
        """
        end = asyncio.get_running_loop().time() + BACK_S_MAX
        while True:
            try:
                await self.system.ready([_process(name, instance)])
                return
            except InfrastructureUnavailable as error:
                if asyncio.get_running_loop().time() > end:
                    self.broken.append(f"{_process(name, instance)} did not come back: {error}")
                    return
            self._start_again_if_ended(name, instance)

    def _start_again_if_ended(self, name: str, instance: int) -> None:
        process = _process(name, instance)
        if self.system.processes.running(process) is None:
            written = "\n".join(self._log_lines(process)[-_LINES:])
            self.broken.append(f"{process} ended unasked: {last_message(written)}")
            self._log(f"{process} ended unexpectedly; restarting it. The end of its log:\n{written}")
            self.system.start(name, instance)

    def background_errors(self) -> list[str]:
        """The errors that services met in background tasks, and survived."""
        return [
            f"{process}: {line}"
            for process in (_process(*each) for each in self._struck)
            for line in self._log_lines(process)
            if _BACKGROUND_ERROR in line
        ]

    def _log_lines(self, process: str) -> list[str]:
        return self.system.log_of(process).read_text(errors="replace").splitlines()


def _process(name: str, instance: int) -> str:
    return name if instance == 1 else f"{name}.{instance}"
