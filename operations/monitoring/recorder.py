"""Adds a sample to the history every ten seconds, for all viewers.

The broker's figures come from the poller's snapshot, those of a service from the `/metrics` of each of its
processes.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime

import httpx

from chassis import telemetry
from chassis.clock import Clock
from journey.admin.diagnosis.snapshot import LADDER_QUEUES
from operations.monitoring.history import INTERVAL_S, History, Sample, ServiceSample
from operations.monitoring.service_metrics import (
    MetricsIncrease,
    MetricsReading,
    increase,
    merge,
    parse_metrics,
)
from operations.monitoring.service_processes import Processes, ServiceProcess
from operations.monitoring.snapshot import MonitoringSnapshot, total

_Reading = tuple[datetime, MetricsReading]


class HistoryRecorder:
    def __init__(
        self,
        history: History,
        snapshot: Callable[[], MonitoringSnapshot],
        *,
        http: httpx.AsyncClient,
        processes: Processes,
        clock: Clock,
    ) -> None:
        """`http`: sends each request to the address that it names, and to no other one."""
        self._history = history
        self._snapshot = snapshot
        self._http = http
        self._processes = processes
        self._clock = clock
        self._before: dict[ServiceProcess, _Reading] = {}

    async def run(self) -> None:
        """Runs for ever. A failed sample is logged, and the next one follows."""
        while True:
            try:
                await self.record()
            except Exception:
                telemetry.log.exception("could not record a sample of the system")
            await asyncio.sleep(INTERVAL_S)

    async def record(self) -> None:
        """Add a sample. The first call only reads the totals with which the second one compares."""
        by_service = await self._processes()
        processes = [process for group in by_service.values() for process in group]
        names = [name for name, group in by_service.items() for _ in group]
        found = await asyncio.gather(*map(self._read, names, processes))
        now = self._clock()
        readings = {process: (now, each) for process, each in zip(processes, found, strict=True) if each}
        before, self._before = self._before, readings
        if self._history.began is None:
            self._history.begin(now)
            return
        snapshot = self._snapshot()
        services = {
            service.name: ServiceSample(
                service.ready,
                service.in_s,
                service.out_s,
                _increase_of(by_service.get(service.name, ()), before, readings),
            )
            for service in snapshot.services
        }
        on_ladder = total(snapshot.queue(name).ready for name in LADDER_QUEUES)
        self._history.add(Sample(now, services, on_ladder))

    async def _read(self, service: str, process: ServiceProcess) -> MetricsReading | None:
        try:
            response = await process.request(self._http, "GET", "/metrics")
            return parse_metrics(response.text, service) if response.is_success else None
        except (httpx.HTTPError, ValueError):
            return None


def _increase_of(
    processes: Sequence[ServiceProcess],
    before: Mapping[ServiceProcess, _Reading],
    now: Mapping[ServiceProcess, _Reading],
) -> MetricsIncrease | None:
    """None if a process does not respond or was replaced.

    A process that did not respond the previous time has no increase yet, and counts from its next sample on.
    """
    parts = []
    for process in processes:
        if process not in now:
            return None
        if process in before:
            (at, reading), (then, earlier) = now[process], before[process]
            part = increase(earlier, reading, (at - then).total_seconds())
            if part is None:
                return None
            parts.append(part)
    return merge(parts)
