"""The aggregates of one write: messages are decided and applied one by one,
then all changes are stored at once.

The message path (process.py) and the synchronous path (execute.py) both decide and apply here.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from chassis.clock import CLOCK_SKEW_MAX, Clock
from chassis.core.decision import Context, Decision, RunEffect
from chassis.core.definition import Aggregate, RelatedAggregates, ServiceDefinition
from chassis.core.message_trace import MessageTrace
from chassis.core.working_copy import WorkingCopy, apply_decision, build_change
from chassis.messaging.envelope import Envelope
from chassis.store.protocol import NO_TIMES, AggregateKey, Change, HandlingTimes


class UnitOfWork:
    """Working copies, and the states of related aggregates as the deciders see them,
    kept current by each decision.
    """

    def __init__(
        self, service: ServiceDefinition, working_copies: Mapping[AggregateKey, WorkingCopy], clock: Clock
    ) -> None:
        self._service = service
        self._clock = clock
        self.working_copies = working_copies
        self._related: dict[str, dict[str, Any]] = {}
        for copy in working_copies.values():
            if isinstance(copy.of, Aggregate) and copy.of.related:
                self._related.setdefault(copy.of.related.kind, {})
        for (kind, key), copy in working_copies.items():
            if kind in self._related and not copy.unreadable:
                self._related[kind][key] = copy.state
        self._any_unreadable = any(copy.unreadable for copy in working_copies.values())

    def unreadable_related(self, working_copy: WorkingCopy, message: object) -> ValueError | None:
        """Why the decider cannot see all related aggregates that it needs, if one cannot be decoded.

        `message`: or the result of an effect.
        """
        aggregate = working_copy.of
        if not self._any_unreadable or not isinstance(aggregate, Aggregate) or aggregate.related is None:
            return None
        kind = aggregate.related.kind
        copies = (
            self.working_copies.get((kind, key))
            for key in aggregate.related.keys(working_copy.state, message)
        )
        return next((copy.unreadable for copy in copies if copy and copy.unreadable), None)

    def decide(
        self, working_copy: WorkingCopy, cause: Envelope, message: object
    ) -> Decision[Any] | RunEffect:
        """Ask the decider. Nothing changes yet; raises what the decider raises."""
        aggregate = working_copy.of
        assert isinstance(aggregate, Aggregate), f"{aggregate.kind} handles no messages"
        related = self._related[aggregate.related.kind] if aggregate.related else {}
        return aggregate.decide(working_copy.state, message, Context(related, self._sent_at(cause)))

    def _sent_at(self, cause: Envelope) -> datetime:
        """Otherwise a state that has the time of a wrong clock would count as newer than all that follows."""
        return min(cause.sent_at, self._clock() + CLOCK_SKEW_MAX)

    def apply(
        self,
        working_copy: WorkingCopy,
        cause: Envelope,
        decision: Decision[Any],
        *,
        times: HandlingTimes = NO_TIMES,
        trace: MessageTrace | None = None,
    ) -> tuple[Envelope, ...]:
        """Change the working copies as decided. Returns the messages to publish.

        `trace`: the trace of the cause; None: it follows from the envelope.
        """
        kind = working_copy.of.kind
        if decision.related:
            assert isinstance(working_copy.of, Aggregate) and working_copy.of.related is not None
            self._change_related(working_copy.of.related.kind, decision.related)
        emits = apply_decision(
            working_copy,
            cause,
            decision,
            service=self._service.name,
            clock=self._clock,
            times=times,
            trace=trace,
        )
        if kind in self._related:
            self._related[kind][working_copy.loaded.key] = working_copy.state
        return emits

    def changes(self) -> list[Change]:
        return [build_change(copy, self._clock) for copy in self.working_copies.values() if copy.changed]

    @property
    def changes_related(self) -> bool:
        """Whether a related aggregate is changed too: then all changes are written together or not at all."""
        return any(
            copy.changed and isinstance(copy.of, RelatedAggregates) for copy in self.working_copies.values()
        )

    def _change_related(self, kind: str, states: Mapping[str, Any]) -> None:
        self._related[kind].update(states)
        for key, state in states.items():
            working_copy = self.working_copies[kind, key]
            working_copy.state = state
            working_copy.changed = True
