"""Two watchmen: one rings for aggregates that have waited too long, one says what a crash has left unsaid."""

import asyncio
from collections.abc import Mapping
from datetime import datetime, timedelta

from chassis import telemetry
from chassis.bus import Bus
from chassis.handle import Clock
from chassis.service import Aggregate, Service
from chassis.store import Store, StoreUnavailable
from contracts.envelope import seal

_PAGE = 500
_RING_AGAIN = timedelta(seconds=30)
SWEEP_AFTER = timedelta(seconds=10)


async def watch_deadlines(service: Service, store: Store, bus: Bus, clock: Clock, every_s: float) -> None:
    """Send each overdue aggregate its reminder. Rung twice, by anyone, it is one message: its id is derived, and its
    time is that of the deadline."""
    rung: dict[str, datetime] = {}
    watched = [aggregate for aggregate in service.aggregates if aggregate.deadline]
    while watched:
        now = clock()
        rung = {key: at for key, at in rung.items() if abs(now - at) < _RING_AGAIN}
        for aggregate in watched:
            try:
                due = await store.due(aggregate.kind, now, _PAGE)
            except StoreUnavailable:
                break
            waiting = {key: at for key, at in due.items() if key not in rung}
            rung |= dict.fromkeys(await _ring(service, bus, aggregate, waiting), now)
        await asyncio.sleep(every_s)


async def _ring(service: Service, bus: Bus, aggregate: Aggregate, late: Mapping[str, datetime]) -> list[str]:
    deadline = aggregate.deadline
    assert deadline is not None
    reminders = [
        seal(deadline.say(key), id=deadline.reminder_id(aggregate.kind, key, at), source=service.name, now=at)
        for key, at in late.items()
    ]
    results = await bus.publish([reminder.parcel() for reminder in reminders]) if reminders else []
    sent = [key for key, error in zip(late, results, strict=True) if error is None]
    telemetry.DEADLINES.labels(service.name).inc(len(sent))
    return sent


async def sweep(service: Service, store: Store, bus: Bus, clock: Clock, every_s: float) -> None:
    """Publish what an HTTP handler wrote but perhaps never published. Twice is harmless: same ids, same bytes."""
    while True:
        for aggregate in service.aggregates:
            try:
                left = await store.unpublished(aggregate.kind, clock() - SWEEP_AFTER, _PAGE)
                for loaded, envelopes in left:
                    results = await bus.publish([envelope.parcel() for envelope in envelopes])
                    if not any(results):
                        kept = None if loaded.deadline_at else aggregate.kept_until(aggregate.read(loaded), clock())
                        await store.published(aggregate.kind, loaded.key, loaded.version, kept)
                        telemetry.SWEPT.labels(service.name).inc(len(envelopes))
            except StoreUnavailable:
                break
        await asyncio.sleep(every_s)
