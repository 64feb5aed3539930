"""An aggregate between its load and its save: decisions change the copy, one write stores it."""

from dataclasses import dataclass, field, replace
from typing import Any

from chassis.clock import Clock
from chassis.core.decision import Decision
from chassis.core.definition import Aggregate, RelatedAggregates
from chassis.core.message_trace import MessageTrace, trace_of_envelope
from chassis.messaging.envelope import Envelope, wrap
from chassis.messaging.identity import derived_id
from chassis.store.lease import Lease
from chassis.store.protocol import (
    HANDLED_MAX,
    NO_TIMES,
    UNCHANGED_MAX,
    Change,
    Handled,
    HandlingTimes,
    Loaded,
)
from chassis.telemetry.span_ids import created_in


@dataclass(slots=True)
class WorkingCopy:
    """An aggregate as it was loaded, and as the messages of one batch change it one by one.

    A related aggregate handles no message of its own. `unreadable` is set if this code cannot decode the
    stored state, which is None then: only the messages about this aggregate fail, not their batch.
    """

    of: Aggregate[Any] | RelatedAggregates[Any]
    loaded: Loaded
    state: Any
    unreadable: ValueError | None = None
    emitted: dict[str, tuple[Envelope, ...]] = field(default_factory=dict)  # by the id of the handled message
    handled: list[Handled] = field(default_factory=list)
    changed: bool = False
    lease: Lease | None = field(init=False)

    def __post_init__(self) -> None:
        self.lease = self.loaded.lease

    @classmethod
    def from_loaded(cls, of: Aggregate[Any] | RelatedAggregates[Any], loaded: Loaded) -> "WorkingCopy":
        try:
            return cls(of, loaded, of.read(loaded))
        except ValueError as error:
            return cls(of, loaded, None, unreadable=error)

    @property
    def overgrown(self) -> bool:
        """Whether an earlier version, which kept all ids, let it grow.

        The next write prunes it, so one is needed.
        """
        return len(self.loaded.handled) > HANDLED_MAX + UNCHANGED_MAX


def apply_decision(
    working_copy: WorkingCopy,
    cause: Envelope,
    decision: Decision[Any],
    *,
    service: str,
    clock: Clock,
    times: HandlingTimes = NO_TIMES,
    trace: MessageTrace | None = None,
) -> tuple[Envelope, ...]:
    """Change the working copy as decided: its state, the handled id (also of a no-op),
    and the outgoing messages.

    An answer that is not stored depends on the message alone, also its time and its trace, so that a
    redelivery gets the same one. `trace`: the trace of the cause; None: it follows from the envelope.
    """
    now = clock()
    base, current = trace or trace_of_envelope(cause, service)
    changed = decision.state is not working_copy.state and decision.state != working_copy.state
    emits = tuple(
        wrap(
            message,
            id=(id_ := derived_id(cause.id, service, index)),
            source=service,
            now=now,
            correlation_id=cause.correlation_id,
            causation_id=cause.id,
            traceparent=created_in(current, id_),
        )
        for index, message in enumerate(decision.emits)
    )
    if not decision.remember and not changed:
        emits = tuple(
            replace(each, time=cause.known_time, traceparent=created_in(base, each.id)) for each in emits
        )
        if not working_copy.overgrown:
            return emits
    handled = Handled(
        message_id=cause.id,
        type=cause.type,
        at=now,
        status=(_status(working_copy.state), _status(decision.state)),
        emits=emits,
        journey=cause.correlation_id,
        changed=changed,
        times=times,
    )
    working_copy.state = decision.state
    working_copy.emitted[cause.id] = emits
    working_copy.handled.append(handled)
    working_copy.changed = True
    return emits


def build_change(working_copy: WorkingCopy, clock: Clock) -> Change:
    """What the store has to write of it."""
    aggregate = working_copy.of
    loaded = working_copy.loaded
    if isinstance(aggregate, RelatedAggregates):
        return Change(
            loaded,
            aggregate.codec.dump(working_copy.state, loaded.state),
            state_object=working_copy.state,
            lease=working_copy.lease,
        )
    deadline = aggregate.deadline
    deadline_at = deadline.due_at(working_copy.state, loaded.deadline_at, clock()) if deadline else None
    return Change(
        loaded,
        aggregate.dump(working_copy.state, loaded, clock()),
        handled=working_copy.handled,
        deadline_at=deadline_at,
        handled_max=aggregate.handled_max or HANDLED_MAX,
        kept_until=None if deadline_at else aggregate.kept_until(working_copy.state, clock()),
        changed_at=clock(),
        state_object=working_copy.state,
        lease=working_copy.lease,
    )


def _status(state: Any) -> str:
    return str(getattr(state, "status", ""))
