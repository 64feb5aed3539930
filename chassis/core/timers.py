"""Sends each aggregate that has waited too long its reminder: a command to the service itself."""

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from chassis.bus.protocol import Bus
from chassis.clock import Clock
from chassis.core.definition import Aggregate, ServiceDefinition
from chassis.core.message_trace import reminder_context
from chassis.messaging.envelope import Envelope, wrap
from chassis.store.protocol import DueAggregate, Store, StoreUnavailable
from chassis.telemetry import metrics

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
            unsent = {key: each for key, each in due.items() if key not in sent}
            if unsent:
                sent |= dict.fromkeys(await _send_reminders(service, aggregate, unsent, bus=bus), now)
        await asyncio.sleep(every_s)


async def _send_reminders(
    service: ServiceDefinition, aggregate: Aggregate[Any], due: Mapping[str, DueAggregate], *, bus: Bus
) -> list[str]:
    """Returns the keys of the aggregates whose reminder the broker has confirmed."""
    reminders = [_reminder(service.name, aggregate, key, due=each) for key, each in due.items()]
    results = await bus.publish([reminder.wire_message(service.catalog) for reminder in reminders])
    sent = [key for key, error in zip(due, results, strict=True) if error is None]
    metrics.DEADLINES.labels(service.name, aggregate.kind).inc(len(sent))
    return sent


def _reminder(service: str, aggregate: Aggregate[Any], key: str, *, due: DueAggregate) -> Envelope:
    deadline = aggregate.deadline
    assert deadline is not None
    at = due.deadline_at
    id_ = deadline.reminder_id(aggregate.kind, key, at)
    reminder = wrap(deadline.make_command(key), id=id_, source=service, now=at)
    return replace(reminder, traceparent=reminder_context(reminder, due.traceparent))
