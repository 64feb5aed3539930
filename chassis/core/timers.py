"""Two watchmen: one rings for aggregates that have waited too long, one says what a crash has left unsaid."""

import asyncio
from collections.abc import Mapping
from datetime import datetime, timedelta

from chassis import telemetry
from chassis.bus.protocol import Bus
from chassis.clock import Clock
from chassis.core.definition import Aggregate, ServiceDefinition
from chassis.store.protocol import Store, StoreUnavailable
from contracts.envelope import wrap

_PAGE = 500
_RESEND_AFTER = timedelta(seconds=30)
SWEEP_AFTER = timedelta(seconds=10)


async def send_due_reminders(service: ServiceDefinition, store: Store, bus: Bus, clock: Clock, every_s: float) -> None:
    """Send each overdue aggregate its reminder. Rung twice, by anyone, it is one message: its id is derived, and its
    time is that of the deadline."""
    sent: dict[str, datetime] = {}
    watched = [aggregate for aggregate in service.aggregates if aggregate.deadline]
    while watched:
        now = clock()
        sent = {key: at for key, at in sent.items() if abs(now - at) < _RESEND_AFTER}
        for aggregate in watched:
            try:
                due = await store.due(aggregate.kind, now, _PAGE)
            except StoreUnavailable:
                break
            waiting = {key: at for key, at in due.items() if key not in sent}
            sent |= dict.fromkeys(await _send_reminders(service, bus, aggregate, waiting), now)
        await asyncio.sleep(every_s)


async def _send_reminders(
    service: ServiceDefinition, bus: Bus, aggregate: Aggregate, late: Mapping[str, datetime]
) -> list[str]:
    deadline = aggregate.deadline
    assert deadline is not None
    reminders = [
        wrap(deadline.say(key), id=deadline.reminder_id(aggregate.kind, key, at), source=service.name, now=at)
        for key, at in late.items()
    ]
    results = await bus.publish([reminder.wire_message() for reminder in reminders]) if reminders else []
    sent = [key for key, error in zip(late, results, strict=True) if error is None]
    telemetry.DEADLINES.labels(service.name).inc(len(sent))
    return sent


async def sweep_unpublished(service: ServiceDefinition, store: Store, bus: Bus, clock: Clock, every_s: float) -> None:
    """Publish what an HTTP handler wrote but perhaps never published. Twice is harmless: same ids, same bytes."""
    while True:
        for aggregate in service.aggregates:
            try:
                left = await store.unpublished(aggregate.kind, clock() - SWEEP_AFTER, _PAGE)
                for loaded, envelopes in left:
                    results = await bus.publish([envelope.wire_message() for envelope in envelopes])
                    if not any(results):
                        kept = None if loaded.deadline_at else aggregate.kept_until(aggregate.read(loaded), clock())
                        await store.published(aggregate.kind, loaded.key, loaded.version, kept)
                        telemetry.SWEPT.labels(service.name).inc(len(envelopes))
            except StoreUnavailable:
                break
        await asyncio.sleep(every_s)
