"""An aggregate between its load and its save: decisions change the copy, one write stores it."""

from dataclasses import dataclass, field, replace
from typing import Any

from chassis.clock import Clock
from chassis.core.decision import Decision
from chassis.core.definition import Aggregate, RelatedAggregates, ServiceDefinition
from chassis.store.protocol import HANDLED_MAX, UNCHANGED_MAX, Change, Handled, Loaded
from contracts.envelope import Envelope, wrap
from contracts.identity import derived_id


@dataclass(slots=True)
class WorkingCopy:
    """An aggregate as it was loaded, and as the messages of this group change it one by one."""

    of: Aggregate | RelatedAggregates  # what stands alongside handles no message of its own
    loaded: Loaded
    state: Any
    said: dict[str, tuple[Envelope, ...]] = field(default_factory=dict)
    handled: list[Handled] = field(default_factory=list)
    changed: bool = False

    @property
    def overgrown(self) -> bool:
        """Whether an earlier version, which kept all ids, let it grow. The next write prunes it, so one is needed."""
        return len(self.loaded.handled) > HANDLED_MAX + UNCHANGED_MAX


def apply_decision(
    service: ServiceDefinition, working_copy: WorkingCopy, cause: Envelope, decision: Decision[Any], clock: Clock
) -> tuple[Envelope, ...]:
    """Put the decision into the draft: the state, the handled id (also of a no-op), and the words, sealed.

    What is not to be remembered depends on the message alone, also its time: so it comes out the same again.
    """
    now = clock()
    changed = decision.state is not working_copy.state and decision.state != working_copy.state
    led = {"correlation_id": cause.correlation_id, "causation_id": cause.id, "traceparent": cause.traceparent}
    emits = tuple(
        wrap(message, id=derived_id(cause.id, service.name, index), source=service.name, now=now, **led)
        for index, message in enumerate(decision.emits)
    )
    if not decision.remember and not changed:
        emits = tuple(replace(envelope, time=cause.known_time) for envelope in emits)
        if not working_copy.overgrown:
            return emits
    status = (_status(working_copy.state), _status(decision.state))
    working_copy.state = decision.state
    working_copy.said[cause.id] = emits
    working_copy.handled.append(Handled(cause.id, cause.type, now, status, emits, cause.correlation_id, changed))
    working_copy.changed = True
    return emits


def build_change(working_copy: WorkingCopy, clock: Clock) -> Change:
    """What is to be written of it."""
    aggregate, loaded = working_copy.of, working_copy.loaded
    if isinstance(aggregate, RelatedAggregates):
        return Change(loaded, aggregate.codec.dump(working_copy.state))
    deadline = aggregate.deadline
    deadline_at = deadline.due_at(working_copy.state, loaded.deadline_at, clock()) if deadline else None
    return Change(
        loaded,
        aggregate.codec.dump(working_copy.state),
        handled=working_copy.handled,
        deadline_at=deadline_at,
        handled_max=aggregate.handled_max or HANDLED_MAX,
        kept_until=None if deadline_at else aggregate.kept_until(working_copy.state, clock()),
        changed_at=clock(),
    )


def _status(state: Any) -> str:
    return str(getattr(state, "status", ""))
