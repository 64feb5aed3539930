"""One process of a service: it runs the real code, and may crash at every operation on the outside."""

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, NoReturn

from chassis.core.definition import EffectHandler
from chassis.runtime import Runtime
from tests.simulation import virtual_time
from tests.simulation.channels import Consuming
from tests.simulation.fake_broker import FakeConnection
from tests.simulation.fake_database import Cable
from tests.simulation.faults import Kind, Moment
from tests.simulation.simulated_effects import SIMULATED_EFFECTS, effect_handler

if TYPE_CHECKING:
    from tests.simulation.world import World

RESTART_S = 1.0
LONG_S = 600.0
DEATHS_MAX = 60
CHECK_S = 20.0  # rarely, because a long wait would consist mostly of these checks


class Instance:
    def __init__(self, world: "World", name: str) -> None:
        self.world = world
        self.name = name
        self.dead = False
        cable = Cable(world.disks[name], self, world.name)
        consuming = Consuming(world.broker) if world.size.real_subscriptions else None
        self.wire = FakeConnection(world.broker, name, self, world.called, consuming)
        service = world.size.services[name]
        effects = self._effects if name in SIMULATED_EFFECTS else None
        self.runtime = Runtime(service, self.wire, cable, effects=effects, clock=virtual_time.now)
        self.runtime.retention_after_s = None  # every document here was written by this version
        self.runtime.sample_s = None  # no decision depends on a gauge
        self.runtime.timer_check_s = self.runtime.probe_s = CHECK_S
        self._starting: asyncio.Task[None] | None = None

    def start(self) -> None:
        self._starting = asyncio.create_task(self.runtime.start())

    @asynccontextmanager
    async def _effects(self, runtime: Runtime) -> AsyncIterator[EffectHandler[Any, Any]]:
        yield effect_handler(self)

    async def alive(self) -> None:
        if self.dead:
            await _forever()

    async def reaches(self, moment: Moment, what: str) -> Kind | None:
        """A fault point before an operation: takes its time, and may crash this process."""
        await self.alive()
        if self.world.size.delays is not None:
            await asyncio.sleep(self.world.delay(f"{self.name} {moment} {what}"))
            await self.alive()
        kind = self.world.plan.at(self.name, moment, what)
        if kind is None:
            self.world.trace.note(self.name, moment, what)
        if kind is Kind.CRASH_BEFORE:
            await self.crash(RESTART_S)
        return kind

    async def survives(self, keys: Iterable[str]) -> None:
        """Crash if it is about to write the outcome of a fatal message."""
        if fatal := next((key for key in keys if key in self.world.fatal), None):
            self.world.deaths[fatal] += 1
            if self.world.deaths[fatal] == DEATHS_MAX:
                self.world.monitor.broken.append(f"{DEATHS_MAX} deaths over {self.world.name(fatal)}")
            await self.crash(RESTART_S)

    async def leaves(self, kind: Kind | None) -> None:
        """A fault point after an operation, whose result may be lost."""
        await self.alive()
        if kind in (Kind.CRASH_AFTER, Kind.CRASH_FOR_LONG):
            await self.crash(RESTART_S if kind is Kind.CRASH_AFTER else LONG_S)

    async def crash(self, back_after_s: float) -> NoReturn:
        self.world.fell(self, back_after_s)
        await _forever()
        raise AssertionError("the dead do not go on")

    async def bury(self) -> None:
        self.dead = True
        if self._starting is not None:
            self._starting.cancel()
        await self.runtime.kill()

    def raise_bugs(self) -> None:
        """Raises AssertionError if the service cannot start, crashed, or had an error in the background."""
        runtime = self.runtime
        starting = self._starting
        if self.dead:
            return
        if starting is not None and starting.done() and (error := starting.exception()) is not None:
            raise AssertionError(f"{self.name} cannot start") from error
        if runtime.crashed.done():
            raise AssertionError(f"{self.name} died of a bug") from runtime.crashed.result()
        if runtime.background_error is not None:
            raise AssertionError(f"a background task of {self.name} failed") from runtime.background_error

    @property
    def in_flight(self) -> int:
        batcher = self.runtime._dispatcher
        return batcher.in_flight if batcher else 1


async def _forever() -> None:
    await asyncio.get_running_loop().create_future()
