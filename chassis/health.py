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
from chassis.telemetry import metrics

PROBE_EVERY_S = 2.0
PROBE_S_MAX = 5.0


class Health:
    """`problem`: why the service cannot work now, with the remedy; empty if it can."""

    def __init__(self, store: Store, bus: Bus, clock: Callable[[], datetime], *, service: str = "") -> None:
        self._service = service
        self._store = store
        self._bus = bus
        self._clock = clock
        self._probing: dict[str, asyncio.Task[str]] = {}
        self.probes = 0
        self.problem = ""

    async def probe_forever(self, every_s: float = PROBE_EVERY_S) -> None:
        """Probe until cancelled."""
        try:
            while True:
                await asyncio.sleep(every_s)
                await self.probe()
        finally:
            await self.stop()

    async def stop(self) -> None:
        """Cancel what is pending, and wait for its end: the event loop may close next."""
        probing = list(self._probing.values())
        for task in probing:
            task.cancel()
        if probing:
            await asyncio.wait(probing, timeout=PROBE_S_MAX)

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
        metrics.READY.labels(self._service).set(not self.problem)
        if self.problem and self.problem != before:
            telemetry.log.warning("not ready", service=self._service, problem=self.problem)
        elif before and not self.problem:
            telemetry.log.info("ready again", service=self._service)

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
        if database_time is None:
            return ""
        after = self._clock()
        metrics.CLOCK_SKEW.labels(self._service).set(skew_s(before, after, database_time))
        return clock_problem(before, after, database_time)

    async def _ask_broker(self) -> str:
        try:
            await self._bus.ping()
        except BusUnavailable as error:
            return f"the broker does not answer: {error}"
        return ""


def skew_s(before: datetime, after: datetime, database_time: datetime) -> float:
    """How many seconds the database's time lies outside the round trip; 0 if it lies inside."""
    ahead = (before - database_time).total_seconds()
    behind = (database_time - after).total_seconds()
    return max(0.0, ahead, behind)


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
