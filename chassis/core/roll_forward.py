"""Brings a database that was set back to an earlier time up to what the journal has.

The service must be stopped. Each event that it handled is decided about again, in the order of the
original decisions. If it led to events then, it must lead to the same ones now. These are stored as they were
published, byte for byte, so a later copy of the cause publishes the same bytes. An event whose cause is in no
journal, such as a client's command, is recalled (recall.py).

A message that cannot be decided about as it was is left to the service, which handles it when it runs and
the journal is backfilled. A command to itself that a decision emits is stored unpublished: the service
publishes it when it starts. It has the time of its cause, so an effect knows how long ago it was first due.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

from chassis.core.decision import CannotRecall, Context, Decision, RunEffect
from chassis.core.definition import Aggregate, ServiceDefinition
from chassis.core.unit_of_work import UnitOfWork
from chassis.core.working_copy import WorkingCopy
from chassis.messaging.envelope import Envelope
from chassis.messaging.identity import derived_id
from chassis.messaging.message import Command, Event, Message
from chassis.store.protocol import AggregateKey, HandlingTimes, Loaded, Store

Emitted = tuple[tuple[Envelope, Event], ...]
_EMITS_MAX = 8  # more messages than any decision emits


class WrittenMeanwhile(Exception):
    """Another process writes to the database: an instance of the service runs."""


class _NotNow(Exception):
    """The decision cannot be repeated in the present state.

    `blocks`: later messages about the aggregate rest on it. `is_new`: it was not made before.
    """

    def __init__(self, reason: str, *, blocks: bool = False, is_new: bool = False) -> None:
        super().__init__(reason)
        self.blocks = blocks
        self.is_new = is_new


@dataclass(frozen=True)
class PastDecision:
    """A decision of the lost time: its cause, if the journal has it, and the events that it led to."""

    at: datetime
    cause: tuple[Envelope, Message] | None
    emitted: Emitted

    @property
    def cause_id(self) -> str:
        if self.cause is not None:
            return self.cause[0].id
        first = self.emitted[0][0]
        return first.causation_id or first.id

    @property
    def type(self) -> str:
        return (self.cause or self.emitted[0])[0].type


@dataclass
class RolledForward:
    """Number of decisions by outcome.

    `known`: the backup has them. `new`: not made before, so the service makes them when it runs. `left`:
    reason -> number of those that could not be repeated.
    """

    decided: int = 0
    recalled: int = 0
    known: int = 0
    new: int = 0
    left: Counter[str] = field(default_factory=Counter)


def past_decisions(
    service: ServiceDefinition, events: Iterable[tuple[Envelope, Message]]
) -> list[PastDecision]:
    """The decisions of the service, oldest first. `events`: from the journal, of any service."""
    received: dict[str, tuple[Envelope, Message]] = {}
    emitted: dict[str, dict[str, tuple[Envelope, Event]]] = {}
    for envelope, message in events:
        if isinstance(message, Event) and service.name == message.OWNER:
            cause = envelope.causation_id or envelope.id
            emitted.setdefault(cause, {}).setdefault(envelope.id, (envelope, message))
        elif type(message) in service.by_type:
            received.setdefault(envelope.id, (envelope, service.as_handled(message)))
    found = [PastDecision(each[0].sent_at, each, ()) for id_, each in received.items() if id_ not in emitted]
    found += [
        PastDecision(
            min(envelope.sent_at for envelope, _ in group.values()),
            received.get(cause),
            tuple(group.values()),
        )
        for cause, group in emitted.items()
    ]
    return sorted(found, key=lambda past: past.at)


class RollForward:
    """`progress`: called with the numbers of finished and of all decisions."""

    def __init__(
        self, service: ServiceDefinition, store: Store, progress: Callable[[int, int], None] | None = None
    ) -> None:
        self._service = service
        self._store = store
        self._progress = progress or (lambda done, of: None)
        self._recalls = {
            event: aggregate
            for aggregate in service.aggregates
            if aggregate.recall is not None
            for event in aggregate.recall.events
        }
        self._commands_with_events: frozenset[str] = frozenset()
        self.result = RolledForward()

    async def run(self, todo: Sequence[PastDecision]) -> RolledForward:
        """Repeat until no further decision can be repeated.

        Raises WrittenMeanwhile, StoreUnavailable or StoreRefused; it may be run again.
        """
        total = len(todo)
        self._commands_with_events = frozenset(past.cause_id for past in todo if past.cause is None)
        while todo:
            self.result.left.clear()
            self.result.new = 0
            left = await self._round(todo, total)
            if len(left) == len(todo):
                if not self._commands_with_events:
                    break
                self._commands_with_events = frozenset()  # the commands need not be the same ones any more
            todo = left
        return self.result

    async def _round(self, todo: Sequence[PastDecision], total: int) -> list[PastDecision]:
        left: list[PastDecision] = []
        blocked: set[AggregateKey] = set()
        for number, past in enumerate(todo, total - len(todo) + 1):
            if (aggregate := self._aggregate_of(past)) is not None:
                key = aggregate.kind, _key(aggregate, past)
                try:
                    if key in blocked and not past.emitted:
                        raise _NotNow("an earlier message about it waits")
                    await self._repeat(past, key)
                except _NotNow as why:
                    left.append(past)
                    if why.is_new:
                        self.result.new += 1
                    else:
                        self.result.left[f"{past.type}: {why}"] += 1
                    if why.blocks:
                        blocked.add(key)
            self._progress(number - len(left), total)
        return left

    def _aggregate_of(self, past: PastDecision) -> Aggregate[Any] | None:
        if past.cause is not None:
            return self._service.by_type[type(past.cause[1])]
        return next(
            (self._recalls[type(event)] for _, event in past.emitted if type(event) in self._recalls), None
        )

    async def _repeat(self, past: PastDecision, aggregate_key: AggregateKey) -> None:
        """Decide and write. Raises _NotNow."""
        kind, key = aggregate_key
        aggregate = next(each for each in self._service.aggregates if each.kind == kind)
        loaded = (await self._store.load(kind, [key]))[key]
        if past.cause_id in loaded.handled:
            self.result.known += 1
            return
        if loaded.version == 0 and aggregate.forgets(past.at, datetime.now(UTC)):
            raise _NotNow("it is older than the retention")
        unit = await self._unit(aggregate, loaded, past)
        copy = unit.working_copies[aggregate_key]
        if copy.unreadable:
            raise _NotNow(f"the stored state cannot be read: {copy.unreadable}")
        try:
            self._decide(unit, copy, past)
        except _NotNow:
            if all(self._recalls.get(type(event)) is not aggregate for _, event in past.emitted):
                raise
            self._recall(unit, copy, past)
        await self._write(unit, copy)

    async def _unit(self, aggregate: Aggregate[Any], loaded: Loaded, past: PastDecision) -> UnitOfWork:
        """The aggregate and those that are related to it; decisions have the time of the original ones."""
        copies = {loaded.aggregate_key: WorkingCopy.from_loaded(aggregate, loaded)}
        copy = copies[loaded.aggregate_key]
        if (related := aggregate.related) is not None and not copy.unreadable:
            messages = [past.cause[1]] if past.cause else [event for _, event in past.emitted]
            keys = sorted({key for message in messages for key in related.keys(copy.state, message)})
            found = await self._store.load(related.kind, keys)
            others = {each.aggregate_key: WorkingCopy.from_loaded(related, each) for each in found.values()}
            copies = others | copies
        return UnitOfWork(self._service, copies, lambda: past.at)

    def _decide(self, unit: UnitOfWork, copy: WorkingCopy, past: PastDecision) -> None:
        """Decide about the cause again. Raises _NotNow if the result would not be what it was."""
        if past.cause is None:
            raise _NotNow("its cause is not in the journal")
        envelope, message = past.cause
        if error := unit.unreadable_related(copy, message):
            raise _NotNow(f"a related state cannot be read: {error}")
        try:
            decision = unit.decide(copy, envelope, message)
        except Exception as error:  # OutOfTurn, or a rule that fails in this state
            raise _NotNow(f"{type(error).__name__}: {error}", blocks=True) from None
        if isinstance(decision, RunEffect):
            raise _NotNow("it needs an effect", blocks=True)
        emits = {
            derived_id(envelope.id, self._service.name, index): each
            for index, each in enumerate(decision.emits)
        }
        events = {id_: each for id_, each in emits.items() if isinstance(each, Event)}
        if events != {original.id: event for original, event in past.emitted}:
            told = ", ".join(type(event).__name__ for event in events.values()) or "no event"
            raise _NotNow(
                f"it would lead to {told}, which is not what was published", is_new=not past.emitted
            )
        if not self._commands_of(envelope) <= emits.keys():
            raise _NotNow("it led to a command to the service itself, and would lead to none now")
        unit.apply(copy, envelope, decision, times=HandlingTimes(sent_at=envelope.known_sent_at))
        _keep_bytes(copy, past.emitted)
        self.result.decided += 1

    def _commands_of(self, cause: Envelope) -> set[str]:
        """The ids of the commands to itself that the cause led to, as far as events followed from them."""
        ids = {derived_id(cause.id, self._service.name, index) for index in range(_EMITS_MAX)}
        return ids & self._commands_with_events

    def _recall(self, unit: UnitOfWork, copy: WorkingCopy, past: PastDecision) -> None:
        aggregate = copy.of
        assert isinstance(aggregate, Aggregate) and aggregate.recall is not None
        state = copy.state
        related = {key: each.state for (_, key), each in unit.working_copies.items() if each is not copy}
        changed: dict[str, Any] = {}
        try:
            for envelope, event in past.emitted:
                if isinstance(event, aggregate.recall.events):
                    context = Context(related | changed, envelope.sent_at)
                    decision = aggregate.recall.apply(state, event, context)
                    state = decision.state
                    changed |= decision.related
        except CannotRecall as error:
            raise _NotNow(str(error)) from None
        except Exception as error:
            raise _NotNow(f"{type(error).__name__}: {error}") from None
        unit.apply(copy, _cause_of(past), Decision(state, related=changed))
        _keep_bytes(copy, past.emitted)
        self.result.recalled += 1

    async def _write(self, unit: UnitOfWork, copy: WorkingCopy) -> None:
        changes = unit.changes()
        for change in changes:
            emits = [envelope for handled in change.handled for envelope in handled.emits]
            if any(issubclass(self._service.catalog[each.type], Command) for each in emits):
                change.unpublished = True  # the sweeper publishes it
                change.kept_until = None
        if changes and not await self._store.save(changes, together=unit.changes_related):
            raise WrittenMeanwhile(
                f"{copy.of.kind} {copy.loaded.key} has changed: an instance of {self._service.name} runs"
            )


def _key(aggregate: Aggregate[Any], past: PastDecision) -> str:
    if past.cause is not None:
        return str(aggregate.key(past.cause[1]))
    assert aggregate.recall is not None
    return next(
        aggregate.recall.key(event) for _, event in past.emitted if isinstance(event, aggregate.recall.events)
    )


def _keep_bytes(copy: WorkingCopy, emitted: Emitted) -> None:
    """Store the events as they were published."""
    if not copy.handled:
        return  # a decision that nothing remembers
    originals = {envelope.id: envelope for envelope, _ in emitted}
    last = copy.handled[-1]
    kept = tuple(originals.pop(each.id, each) for each in last.emits)
    copy.handled[-1] = replace(last, emits=kept + tuple(originals.values()))


def _cause_of(past: PastDecision) -> Envelope:
    """The envelope of the cause. Of a command that the journal does not have, only its id is known."""
    if past.cause is not None:
        return past.cause[0]
    first = past.emitted[0][0]
    return replace(first, id=past.cause_id, causation_id="", source="", body=b"")
