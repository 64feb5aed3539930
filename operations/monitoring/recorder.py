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
from operations.monitoring.service_processes import Processes
from operations.monitoring.snapshot import MonitoringSnapshot, total

_RESPONSE_S_MAX = 2.0
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
        """`http`: sends each request to the address that it names, and to no other process."""
        self._history = history
        self._snapshot = snapshot
        self._http = http
        self._processes = processes
        self._clock = clock
        self._before: dict[str, _Reading] = {}  # address -> its previous reading

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
        processes = await self._processes()
        addresses = [address for group in processes.values() for address in group]
        names = [name for name, group in processes.items() for _ in group]
        found = await asyncio.gather(*map(self._read, names, addresses))
        now = self._clock()
        readings = {address: (now, each) for address, each in zip(addresses, found, strict=True) if each}
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
                _increase_of(processes.get(service.name, ()), before, readings),
            )
            for service in snapshot.services
        }
        on_ladder = total(snapshot.queue(name).ready for name in LADDER_QUEUES)
        self._history.add(Sample(now, services, on_ladder))

    async def _read(self, service: str, address: str) -> MetricsReading | None:
        try:
            response = await self._http.get(f"{address}/metrics", timeout=_RESPONSE_S_MAX)
            return parse_metrics(response.text, service) if response.is_success else None
        except (httpx.HTTPError, ValueError):
            return None


def _increase_of(
    addresses: Sequence[str], before: Mapping[str, _Reading], now: Mapping[str, _Reading]
) -> MetricsIncrease | None:
    """None if a process does not respond or was replaced.

    A process that did not respond the previous time has no increase yet, and counts from its next sample on.
    """
    parts = []
    for address in addresses:
        if address not in now:
            return None
        if address in before:
            (at, reading), (then, earlier) = now[address], before[address]
            part = increase(earlier, reading, (at - then).total_seconds())
            if part is None:
                return None
            parts.append(part)
    return merge(parts)
