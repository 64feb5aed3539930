"""Publishes outgoing messages that a crash left unpublished.

Only the synchronous path (execute.py) leaves any.
"""

import asyncio
from datetime import timedelta

from chassis import telemetry
from chassis.bus.protocol import Bus
from chassis.clock import Clock
from chassis.core.definition import ServiceDefinition
from chassis.store.protocol import Store, StoreUnavailable

SWEEP_AFTER = timedelta(seconds=10)
_PAGE = 500


async def sweep_unpublished(
    service: ServiceDefinition, store: Store, bus: Bus, *, clock: Clock, every_s: float
) -> None:
    """As long as the service runs. Publishing twice is harmless: same ids, same bytes."""
    while True:
        for aggregate in service.aggregates:
            try:
                for loaded, envelopes in await store.unpublished(
                    aggregate.kind, clock() - SWEEP_AFTER, _PAGE
                ):
                    results = await bus.publish([each.wire_message(service.catalog) for each in envelopes])
                    if any(results):
                        continue  # the next round tries again
                    kept_until = (
                        None if loaded.deadline_at else aggregate.kept_until(aggregate.read(loaded), clock())
                    )
                    await store.published(
                        aggregate.kind, loaded.key, version=loaded.version, kept_until=kept_until
                    )
                    telemetry.SWEPT.labels(service.name).inc(len(envelopes))
            except StoreUnavailable:
                break
        await asyncio.sleep(every_s)
