"""Sends each aggregate that has waited too long its reminder: a command to the service itself."""

import asyncio
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from chassis import telemetry
from chassis.bus.protocol import Bus
from chassis.clock import Clock
from chassis.core.definition import Aggregate, ServiceDefinition
from chassis.messaging.envelope import wrap
from chassis.store.protocol import Store, StoreUnavailable

_PAGE = 500
_RESEND_AFTER = timedelta(seconds=30)


async def send_due_reminders(
    service: ServiceDefinition, store: Store, bus: Bus, *, clock: Clock, every_s: float
) -> None:
    """As long as the service runs.

    A reminder that several instances send, or one sends again, is one message: its id is derived, and its
    time is that of the deadline.
    """
    sent: dict[str, datetime] = {}
    with_deadline = [aggregate for aggregate in service.aggregates if aggregate.deadline]
    while with_deadline:
        now = clock()
        sent = {key: at for key, at in sent.items() if abs(now - at) < _RESEND_AFTER}
        for aggregate in with_deadline:
            try:
                due = await store.due(aggregate.kind, now, _PAGE)
            except StoreUnavailable:
                break
            unsent = {key: at for key, at in due.items() if key not in sent}
            if unsent:
                sent |= dict.fromkeys(await _send_reminders(service, aggregate, unsent, bus=bus), now)
        await asyncio.sleep(every_s)


async def _send_reminders(
    service: ServiceDefinition, aggregate: Aggregate[Any], due: Mapping[str, datetime], *, bus: Bus
) -> list[str]:
    """Returns the keys of the aggregates whose reminder the broker has confirmed."""
    deadline = aggregate.deadline
    assert deadline is not None
    reminders = [
        wrap(
            deadline.make_command(key),
            id=deadline.reminder_id(aggregate.kind, key, at),
            source=service.name,
            now=at,
        )
        for key, at in due.items()
    ]
    results = await bus.publish([reminder.wire_message(service.catalog) for reminder in reminders])
    sent = [key for key, error in zip(due, results, strict=True) if error is None]
    telemetry.DEADLINES.labels(service.name).inc(len(sent))
    return sent
