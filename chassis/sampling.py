"""Samples for gauges: what waits in the database, and how late the event loop runs.

A background task of each instance takes them every few seconds, so that a scrape costs no query. The queries
use indexes and are bounded: a backlog of a million orders does not slow them down.
"""

import asyncio
from datetime import datetime
from typing import Any

from chassis.clock import Clock
from chassis.core.definition import Aggregate, ServiceDefinition
from chassis.store.protocol import StatusCount, Store, StoreRefused, StoreUnavailable
from chassis.telemetry import metrics

SAMPLE_S = 5.0
LAG_S = 0.5
COUNT_MAX = 10_000


async def sample_store(service: ServiceDefinition, store: Store, *, clock: Clock, every_s: float) -> None:
    """Run for as long as the service runs. While the database is away the gauges keep their values."""
    while True:
        for aggregate in service.aggregates:
            try:
                await sample_aggregate(service.name, aggregate, store, now=clock())
            except (StoreUnavailable, StoreRefused):
                break  # `journey_ready` and `journey_store_unavailable` show it
        await asyncio.sleep(every_s)


async def sample_aggregate(service: str, aggregate: Aggregate[Any], store: Store, *, now: datetime) -> None:
    """Set the gauges of one kind of aggregate."""
    kind = aggregate.kind
    unpublished = await store.count_unpublished(kind, COUNT_MAX)
    metrics.UNPUBLISHED.labels(service, kind).set(unpublished)
    for status in sorted(aggregate.open_statuses):
        found = await store.count_in_status(kind, status, COUNT_MAX)
        metrics.OPEN_AGGREGATES.labels(service, kind, status).set(found.count)
        metrics.OLDEST_OPEN.labels(service, kind, status).set(_age_s(found, now))


async def observe_lag(service: str, every_s: float = LAG_S) -> None:
    """Run for as long as the service runs: sleep, and observe how late the sleep ended."""
    lag = metrics.EVENT_LOOP_LAG.labels(service)
    loop = asyncio.get_running_loop()
    while True:
        due = loop.time() + every_s
        await asyncio.sleep(every_s)
        lag.observe(max(0.0, loop.time() - due))


def _age_s(found: StatusCount, now: datetime) -> float:
    if found.oldest is None:
        return 0.0
    return max(0.0, (now - found.oldest).total_seconds())
