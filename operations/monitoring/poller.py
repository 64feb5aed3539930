"""Polls the broker's statistics and the services' readiness once for all viewers,
and notifies them of each update.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Coroutine, Sequence
from typing import Any

import httpx

from chassis import telemetry
from chassis.bus.protocol import BusUnavailable
from chassis.cancellation import cancel
from chassis.clock import Clock
from chassis.telemetry.instruments import Label, gauge, own
from journey.admin.broker.losses import Losses
from journey.admin.broker.management import AdminUnavailable
from journey.admin.diagnosis.snapshot import reason_in
from journey.admin.infrastructure_unavailable import InfrastructureUnavailable
from operations.broker import Broker, QueueStats
from operations.monitoring.broker_metrics import watch_broker
from operations.monitoring.service_processes import Processes, ServiceProcess
from operations.monitoring.snapshot import MonitoringSnapshot, Readiness, current_snapshot, unknown_snapshot

_POLLS_BETWEEN_LOSSES = 5
_POLLS_BETWEEN_MEASUREMENTS = 5  # of the topology and of bounded queues
# A gauge, because the totals are older than this process.
LOST_MESSAGES = gauge(
    own("lost_messages"),
    "Messages that a full queue discarded, in all",
    labels=(Label("queue", "a queue of the shop; `other queues` for all queues of clients"),),
    recorded_in="operations/monitoring/poller.py",
)


class SystemPoller:
    def __init__(
        self,
        broker: Broker,
        *,
        http: httpx.AsyncClient,
        processes: Processes,
        clock: Clock,
        poll_s: float,
    ) -> None:
        """`http`: sends each request to the address that it names, and to no other one."""
        self._broker = broker
        self._http = http
        self._processes = processes
        self._clock = clock
        self._poll_s = poll_s
        self.snapshot = MonitoringSnapshot()
        self._losses = Losses()
        self._updated = asyncio.Event()

    async def run(self) -> None:
        """Runs for ever. A failed poll is shown in the snapshot or logged, and the next one follows."""
        while True:
            try:
                await self.refresh()
            except Exception:
                telemetry.log.exception("could not poll the system")
            await asyncio.sleep(self._poll_s)

    async def refresh(self) -> None:
        before = self.snapshot
        readiness, queue_stats = await asyncio.gather(self._readiness(), self._queue_stats())
        if isinstance(queue_stats, AdminUnavailable):
            self.snapshot = unknown_snapshot(
                before, f"{queue_stats.reason}; {queue_stats.remedy}", readiness, self._clock()
            )
        else:
            self.snapshot = current_snapshot(queue_stats, readiness, self._clock(), self._losses.sentences)
        self.notify()

    async def count_losses(self) -> None:
        """Runs for ever. It also keeps the queue of lost messages short, so that none is lost uncounted."""
        while True:
            try:
                self._losses = await self._broker.losses()
                for queue, number in self._losses.by_own_queue.items():
                    LOST_MESSAGES.labels(queue).set(number)
            except (InfrastructureUnavailable, BusUnavailable) as away:
                telemetry.log.warning("losses of full queues are temporarily not counted", error=str(away))
            except Exception:
                telemetry.log.exception("could not count the losses of full queues")
            await asyncio.sleep(self._poll_s * _POLLS_BETWEEN_LOSSES)

    def notify(self) -> None:
        """Wake all subscribers."""
        self._updated.set()
        self._updated = asyncio.Event()

    async def wait_for_update(self, timeout_s: float) -> None:
        """Wait for the next update, at most for the timeout."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._updated.wait(), timeout_s)

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        measured = watch_broker(self._broker, self._poll_s * _POLLS_BETWEEN_MEASUREMENTS)
        async with running(self.run(), self.count_losses(), measured):
            yield

    async def _queue_stats(self) -> QueueStats | AdminUnavailable:
        try:
            return await self._broker.queue_stats()
        except AdminUnavailable as away:
            return away

    async def _readiness(self) -> dict[str, Readiness]:
        services = await self._processes()
        found = await asyncio.gather(*map(self._readiness_of, services.values()))
        return dict(zip(services, found, strict=True))

    async def _readiness_of(self, processes: Sequence[ServiceProcess]) -> Readiness:
        reasons = await asyncio.gather(*map(self._why_unready, processes))
        return Readiness({each.address: why for each, why in zip(processes, reasons, strict=True)})

    async def _why_unready(self, process: ServiceProcess) -> str:
        return await reason_in(process.request(self._http, "GET", "/readyz"))


@contextlib.asynccontextmanager
async def running(*loops: Coroutine[Any, Any, None]) -> AsyncIterator[None]:
    """Runs these in the background, and cancels them at the end."""
    tasks = [asyncio.create_task(loop) for loop in loops]
    try:
        yield
    finally:
        await cancel(tasks)
