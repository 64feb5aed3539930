"""Executes a command synchronously: an HTTP handler waits for the decision, and no delivery drives it.

What a crash interrupts here is not redelivered. So the same write sets the `unpublished` flag of the
document; this process publishes at once and clears the flag, and the sweeper (sweeper.py) publishes what this
process could not.
"""

from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING, TypeVar

from chassis.core.decision import Decision, RunEffect
from chassis.core.definition import Aggregate
from chassis.core.message_spans import record_created
from chassis.core.process import SAVES_MAX, conflict_backoff
from chassis.core.unit_of_work import UnitOfWork
from chassis.core.working_copy import WorkingCopy
from chassis.messaging.envelope import Envelope, format_time
from chassis.messaging.identity import new_id
from chassis.store.protocol import Change, Loaded, WriteConflicts
from chassis.telemetry import metrics, tracing

if TYPE_CHECKING:
    from chassis.runtime import Runtime

S = TypeVar("S")


async def load_state(runtime: "Runtime", aggregate: Aggregate[S], key: str) -> S:
    """The current state, read from the store."""
    return aggregate.read((await runtime.store.load(aggregate.kind, [key]))[key])


async def execute(
    runtime: "Runtime", aggregate: Aggregate[S], key: str, message: object, *, message_id: str = ""
) -> Decision[S]:
    """Load, decide, write, publish. `message` need not be a contract: it is never sent.

    What the decider raises reaches the caller, and nothing is written then. Raises StoreUnavailable when the
    outcome is unknown, and WriteConflicts when other writers were always faster; the same `message_id` may be
    tried again.
    """
    # As this service is configured: how long an aggregate is kept is a setting.
    aggregate = next((each for each in runtime.service.aggregates if each.kind == aggregate.kind), aggregate)
    cause = _cause(message, key, id=message_id or str(new_id()), now=runtime.clock())
    tried: Change | None = None
    backoff = conflict_backoff()
    for _ in range(SAVES_MAX):
        loaded = (await runtime.store.load(aggregate.kind, [key]))[key]
        working_copy = WorkingCopy(aggregate, loaded, aggregate.read(loaded))
        # our own earlier try was written; the sweeper publishes what it emitted
        if cause.id in loaded.handled:
            return Decision(working_copy.state)
        if tried is not None and _may_be_forgotten(tried, loaded):
            raise WriteConflicts(
                "so many others wrote at once that it is unknown whether this change was written"
            )
        unit = UnitOfWork(runtime.service, {(aggregate.kind, key): working_copy}, runtime.clock)
        decision = unit.decide(working_copy, cause, message)
        if isinstance(decision, RunEffect) or decision.related:
            raise TypeError(
                f"{cause.type}: effects and related aggregates need a delivery, send it as a command"
            )
        if decision.emits:
            cause = replace(cause, traceparent=tracing.join_journey(cause.correlation_id))
        emits = unit.apply(working_copy, cause, decision)
        if not working_copy.changed:
            return decision  # nothing is stored, so nothing is published either
        [tried] = unit.changes()
        kept_until = tried.kept_until
        if emits:  # it must not expire before it is published
            tried.unpublished = True
            tried.kept_until = None
        if await runtime.store.save([tried]):
            await _publish(runtime, tried, kept_until)
            return decision
        metrics.WRITE_CONFLICTS.labels(runtime.service.name).inc()
        await backoff.pause()
    raise WriteConflicts(f"{SAVES_MAX} writes in a row met newer versions")


def _cause(message: object, key: str, *, id: str, now: datetime) -> Envelope:
    """An envelope for a command that is never sent,
    so that its decision is recorded like that of any message.
    """
    return Envelope(
        id=id,
        type=type(message).__name__,
        source="",
        subject=key,
        time=format_time(now),
        correlation_id=key,
        causation_id="",
        body=b"",
    )


def _may_be_forgotten(tried: Change, now: Loaded) -> bool:
    """Whether a write of `tried` can have been followed by so many others that its message id is pruned.

    The store prunes the oldest ids first, so each newer id that pushed it out is still there.
    """
    return len(now.handled - tried.loaded.handled) >= tried.unchanged_max


async def _publish(runtime: "Runtime", written: Change, kept_until: datetime | None) -> None:
    envelopes = [envelope for handled in written.handled for envelope in handled.emits]
    if not envelopes:
        return  # then it does not matter whether the broker responds
    wire_messages = [envelope.wire_message(runtime.service.catalog) for envelope in envelopes]
    results = await runtime.bus.publish(wire_messages)
    if (span := tracing.current()) is not None and span.sampled:
        for envelope in envelopes:
            record_created(span, envelope)
    # If an earlier write could not publish, the flag stays, and the sweeper publishes all of it.
    if not any(results) and not written.loaded.unpublished:
        loaded = written.loaded
        await runtime.store.published(
            loaded.kind, loaded.key, version=loaded.version + 1, kept_until=kept_until
        )
