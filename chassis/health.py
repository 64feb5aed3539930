"""Probes a service's dependencies, so that readiness does not depend on a message that fails first.

Every few seconds one probe makes a round trip to the database and to the broker. All requests for `/readyz`
share its result. The probe also compares clocks: a machine with a wrong clock rejects fresh tokens and sends
reminders early or late, but looks healthy otherwise.
"""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import datetime

from chassis import telemetry
from chassis.bus.protocol import Bus, BusUnavailable
from chassis.clock import CLOCK_SKEW_MAX
from chassis.store.protocol import Store, StoreRefused, StoreUnavailable

PROBE_EVERY_S = 2.0
PROBE_S_MAX = 5.0


class Health:
    """`problem`: why the service cannot work now, with the remedy; empty if it can."""

    def __init__(self, store: Store, bus: Bus, clock: Callable[[], datetime]) -> None:
        self._store = store
        self._bus = bus
        self._clock = clock
        self._probing: dict[str, asyncio.Task[str]] = {}
        self.probes = 0
        self.problem = ""

    async def watch(self, every_s: float = PROBE_EVERY_S) -> None:
        """Probe until cancelled."""
        try:
            while True:
                await asyncio.sleep(every_s)
                await self.probe()
        finally:
            for task in self._probing.values():
                task.cancel()

    async def probe(self) -> None:
        """Probe once. A round trip without a response counts as a failure;
        it is not repeated while it is pending.
        """
        found = await asyncio.gather(
            self._bounded("the database", self._ask_database), self._bounded("the broker", self._ask_broker)
        )
        before = self.problem
        self.problem = "; ".join(filter(None, found))
        self.probes += 1
        if self.problem and self.problem != before:
            telemetry.log.warning("not ready", problem=self.problem)
        elif before and not self.problem:
            telemetry.log.info("ready again")

    async def _bounded(self, what: str, ask: Callable[[], Awaitable[str]]) -> str:
        if what not in self._probing:
            self._probing[what] = asyncio.ensure_future(ask())
        task = self._probing[what]
        done, _ = await asyncio.wait([task], timeout=PROBE_S_MAX)
        if not done:
            return f"{what} does not answer: silent for more than {PROBE_S_MAX:.0f} s"
        del self._probing[what]
        if task.cancelled():
            return f"{what} does not answer: the connection died"
        if (error := task.exception()) is not None:  # drivers raise any error if a connection dies
            return f"{what} does not answer: {type(error).__name__}: {error}"
        return task.result()

    async def _ask_database(self) -> str:
        before = self._clock()
        try:
            database_time = await self._store.ping()
        except (StoreUnavailable, StoreRefused) as error:
            return f"the database does not answer: {error}"
        return "" if database_time is None else clock_problem(before, self._clock(), database_time)

    async def _ask_broker(self) -> str:
        try:
            await self._bus.ping()
        except BusUnavailable as error:
            return f"the broker does not answer: {error}"
        return ""


def clock_problem(before: datetime, after: datetime, database_time: datetime) -> str:
    """Why the clock must be corrected; empty if it need not be.

    The database read its clock between `before` and `after`.
    """
    if before - CLOCK_SKEW_MAX <= database_time <= after + CLOCK_SKEW_MAX:
        return ""
    return (
        f"this machine's clock says {after.isoformat(timespec='seconds')}, the database's says"
        f" {database_time.isoformat(timespec='seconds')}; let both follow NTP (for example chrony)"
    )
