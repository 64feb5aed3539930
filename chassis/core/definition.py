"""The definition of a service: its aggregates, the messages that each handles, and the rule that decides."""

import inspect
from collections.abc import Awaitable, Callable, Collection, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import Any, Generic, TypeVar

from pydantic import TypeAdapter

from chassis.bus.retry_ladder import RetryLadder
from chassis.bus.topology_model import QueueBounds
from chassis.core.decision import Decider
from chassis.messaging.catalog import Catalog
from chassis.messaging.identity import derived_id
from chassis.messaging.message import Command, Message
from chassis.store.protocol import Loaded

# By default: as long as books have to be kept in many countries. docs/retention.md has the rule for each
# collection.
DEFAULT_TTL = timedelta(days=3_650)
# An aggregate counts as gone this much before its deletion, because the clocks of two machines differ.
CLOCK_MARGIN = timedelta(days=1)
_CLOCKS_ARE_SET_SINCE = datetime(2020, 1, 1, tzinfo=UTC)

S = TypeVar("S")
R = TypeVar("R")
E = TypeVar("E")

EffectHandler = Callable[[E, datetime], Awaitable[R]]
"""Runs a decider's effect in the outside world and returns its result;
raises EffectUnavailable if there is none.

The second argument is the time at which the effect's command was sent. It is the same however often the
command is delivered, also after a redrive, so that nothing is done twice that the outside world has
forgotten.
"""


class EffectUnavailable(Exception):
    """The outside world did not respond: neither a yes nor a no. Try again later, with the same key."""


class CircuitOpen(EffectUnavailable):
    """The effect was not even tried: several effects before it got no response."""


class TooOld(Exception):
    """An aggregate that has expired may have handled the message. Trying again is no use."""


class Codec(Generic[S]):
    """State <-> JSON-compatible document."""

    def __init__(self, state: type[S]) -> None:
        self._adapter: TypeAdapter[S] = TypeAdapter(state)

    def load(self, document: Mapping[str, Any]) -> S:
        return self._adapter.validate_python(document)

    def dump(self, state: S) -> dict[str, Any]:
        document: dict[str, Any] = self._adapter.dump_python(state, mode="json")
        return document


@dataclass(frozen=True)
class RelatedAggregates(Generic[R]):
    """Other aggregates that a decision needs to see, and may change in the same transaction.

    `keys(state, message)` names them; the decider gets them by key, as `context.related`.
    """

    kind: str
    start: Callable[[str], R]
    keys: Callable[[Any, Any], Collection[str]]
    read_only: bool = False

    def __post_init__(self) -> None:
        try:
            self.start("")
        except Exception as error:
            code = inspect.unwrap(self.start).__code__ if inspect.isfunction(self.start) else None
            place = f" at {code.co_filename}:{code.co_firstlineno}" if code else ""
            raise TypeError(
                f'related aggregates {self.kind}: start("") raised {type(error).__name__}: {error}; '
                f"let `start`{place} return an empty state for every key"
            ) from error

    @cached_property
    def codec(self) -> Codec[R]:
        return Codec(type(self.start("")))

    def read(self, loaded: Loaded) -> R:
        if loaded.state is None:
            return self.start(loaded.key)
        return loaded.state_object or self.codec.load(loaded.state)


@dataclass(frozen=True)
class Deadline(Generic[S]):
    """While `waiting(state)`, at most `after` may pass;
    then the service sends itself the command `make_command(key)`.

    With `at` the state names the time itself, and may name a new one each time: each is a reminder of its
    own.
    """

    waiting: Callable[[S], bool]
    make_command: Callable[[str], Command]
    after: timedelta = timedelta(0)
    at: Callable[[S], datetime | None] | None = None

    def due_at(self, state: S, before: datetime | None, now: datetime) -> datetime | None:
        """When to send the command for this state. `before`: the time that is stored so far."""
        if not self.waiting(state):
            return None
        return self.at(state) if self.at else before or now + self.after

    def reminder_id(self, kind: str, key: str, due_at: datetime) -> str:
        """The same however often, and by whichever instance, the reminder is sent."""
        parts = [kind, key, "deadline"]
        if self.at:
            parts.append(due_at.isoformat())
        return derived_id(*parts)


@dataclass(frozen=True)
class Aggregate(Generic[S]):
    """One kind of aggregate of a service, one document each, and the rule for every message about it."""

    kind: str
    start: S
    decide: Decider[S]
    handles: tuple[type[Message], ...]
    key: Callable[[Any], str] = lambda message: message.subject
    # Messages that nearly always find no aggregate yet. It is not read first: the insert fails if there is
    # one.
    created_by: tuple[type[Message], ...] = ()
    # Whether the outside world carries out an effect with the same key only once. Then an outdated state may
    # ask for it.
    effects_are_idempotent: bool = False
    related: RelatedAggregates[Any] | None = None
    deadline: Deadline[S] | None = None
    # How many handled messages it remembers. Aggregates without an end remember a few; their states must
    # recognise old messages by themselves (a revision). None: HANDLED_MAX, more than ever change an aggregate
    # that has an end.
    handled_max: int | None = None
    indexes: tuple[str, ...] = ()
    # The statuses in which it waits for a message that should come soon. An index finds these aggregates, so
    # that a search for what is under way does not read the history.
    open_statuses: frozenset[str] = frozenset()
    # How long after its last change the database keeps it; None: for ever.
    ttl: timedelta | None = None
    # The statuses in which that time counts: what still waits for something never expires. None: in all of
    # them.
    ended_statuses: frozenset[str] | None = None

    @cached_property
    def codec(self) -> Codec[S]:
        return Codec(type(self.start))

    def kept_until(self, state: Any, now: datetime) -> datetime | None:
        """When an aggregate with this state that is written now may be deleted."""
        ended = self.ended_statuses is None or str(state.status) in self.ended_statuses
        return now + self.ttl if self.ttl is not None and ended else None

    def forgets(self, sent_at: datetime, now: datetime) -> bool:
        """Whether a message is so old that the aggregate which handled it may have expired since.

        A time before _CLOCKS_ARE_SET_SINCE does not count: there are programs that send none, or a wrong one.
        """
        is_plausible = sent_at > _CLOCKS_ARE_SET_SINCE
        return is_plausible and self.ttl is not None and now - sent_at > self.ttl - CLOCK_MARGIN

    @property
    def indexed(self) -> tuple[str, ...]:
        status = ("status",) if self.open_statuses and "status" not in self.indexes else ()
        return (*self.indexes, *status)

    def read(self, loaded: Loaded) -> S:
        """The state; `start` if nothing is stored yet."""
        if loaded.state is None:
            return self.start
        return loaded.state_object or self.codec.load(loaded.state)


@dataclass(frozen=True)
class ServiceDefinition:
    """A service's name and its aggregates. Exactly one of them handles each message type."""

    name: str
    aggregates: tuple[Aggregate[Any], ...]
    # The messages that the service's program knows.
    catalog: Catalog = field(kw_only=True)
    # How many deliveries may be unacknowledged at once, per queue. Commands that call the outside world are
    # few.
    prefetch_events: int = 200
    prefetch_commands: int = 200
    # How many effects may run at once, so that a slow provider holds up nothing else.
    effects_max: int = 16
    # None: its inboxes are unbounded and drop nothing.
    queue_bounds: QueueBounds | None = None
    retry_ladder: RetryLadder = field(default_factory=RetryLadder)
    # The commands that it may send to other services. Only the gateway sends any, on behalf of users.
    sends: tuple[type[Command], ...] = ()
    # How long messages wait for others while there are few, so that they share a write. For services without
    # latency requirements.
    linger_s: float = 0.0
    by_type: Mapping[type[Message], Aggregate[Any]] = field(init=False)

    def __post_init__(self) -> None:
        for known in (*self.sends, *(each for aggregate in self.aggregates for each in aggregate.handles)):
            if reason := self.catalog.why_missing(known):
                raise TypeError(f"{self.name}: {reason}")
        for command in self.sends:
            if self.name not in command.ASKED_BY:
                raise TypeError(f"{self.name}: it sends {command.__name__}, whose asked_by does not name it")
        routes: dict[type[Message], Aggregate[Any]] = {}
        for aggregate in self.aggregates:
            for handled in aggregate.handles:
                if handled in routes:
                    raise TypeError(f"{self.name}: two aggregates handle {handled.__name__}")
                if issubclass(handled, Command) and self.name != handled.OWNER:
                    raise TypeError(f"{self.name}: {handled.__name__} is a command to {handled.OWNER}")
                routes[handled] = aggregate
        object.__setattr__(self, "by_type", routes)

    @property
    def kinds(self) -> dict[str, tuple[str, ...]]:
        """The collections of this service, and the paths of the state that its own API queries."""
        related = {aggregate.related.kind: () for aggregate in self.aggregates if aggregate.related}
        return related | {aggregate.kind: aggregate.indexed for aggregate in self.aggregates}

    @property
    def cached_kinds(self) -> frozenset[str]:
        """The kinds that an instance may cache (chassis/store/cached.py).

        Not those of which the store prunes handled ids, because the cached set of ids would grow. Not those
        that are only read beside others, because no write would find that a cached version is outdated.
        """
        related = [aggregate.related for aggregate in self.aggregates if aggregate.related]
        written = {each.kind for each in related if not each.read_only}
        pruned = {aggregate.kind for aggregate in self.aggregates if aggregate.handled_max is not None}
        return frozenset({aggregate.kind for aggregate in self.aggregates} | written) - pruned

    @property
    def changes_related(self) -> bool:
        """Whether two batches at once could change the same related aggregate, and would conflict."""
        return any(aggregate.related and not aggregate.related.read_only for aggregate in self.aggregates)

    @property
    def events_queue(self) -> str:
        return f"{self.name}.events"

    @property
    def commands_queue(self) -> str:
        return f"{self.name}.commands"

    @property
    def dead_queue(self) -> str:
        return f"{self.name}.dead"

    @property
    def rejected_queue(self) -> str:
        return f"{self.name}.rejected"
