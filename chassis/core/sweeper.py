"""Publishes outgoing messages that a crash left unpublished.

Only the synchronous path (execute.py) leaves any, and an operator who has messages published again.
"""

import asyncio
from datetime import datetime, timedelta
from typing import Any

from chassis.bus.protocol import Bus
from chassis.clock import Clock
from chassis.core.definition import Aggregate, ServiceDefinition
from chassis.core.message_spans import sweep_span
from chassis.store.protocol import Loaded, Store, StoreUnavailable
from chassis.telemetry import metrics

SWEEP_AFTER = timedelta(seconds=10)
_PAGE = 500


async def sweep_unpublished(
    service: ServiceDefinition, store: Store, bus: Bus, *, clock: Clock, every_s: float
) -> None:
    """As long as the service runs. Publishing twice is harmless: same ids, same bytes."""
    while True:
        more = False
        for aggregate in service.aggregates:
            try:
                more |= await _sweep_page(service, aggregate, store, bus=bus, clock=clock)
            except StoreUnavailable:
                more = False
                break
        if not more:
            await asyncio.sleep(every_s)


async def _sweep_page(
    service: ServiceDefinition, aggregate: Aggregate[Any], store: Store, *, bus: Bus, clock: Clock
) -> bool:
    """Returns whether there may be more: the page was full, and all of it could be published."""
    found = await store.unpublished(aggregate.kind, clock() - SWEEP_AFTER, _PAGE)
    failed = False
    for loaded, envelopes in found:
        if any(each.type not in service.catalog for each in envelopes):
            failed = True
            continue  # a newer release stored them, before it was rolled back; it publishes them
        with sweep_span(service.name, envelopes):
            results = await bus.publish([each.wire_message(service.catalog) for each in envelopes])
        if any(results):
            failed = True
            continue  # the next round tries again
        kept_until = _kept_until(aggregate, loaded, clock())
        await store.published(aggregate.kind, loaded.key, version=loaded.version, kept_until=kept_until)
        metrics.SWEPT.labels(service.name).inc(len(envelopes))
    return len(found) == _PAGE and not failed


def _kept_until(aggregate: Aggregate[Any], loaded: Loaded, now: datetime) -> datetime | None:
    """None also if only a newer release can read the state. Its retention run sets the date then."""
    try:
        return None if loaded.deadline_at else aggregate.kept_until(aggregate.read(loaded), now)
    except ValueError:
        return None
