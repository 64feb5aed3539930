"""The definition of a service: its aggregates, the messages that each handles, and the rule that decides."""

import inspect
from collections.abc import Awaitable, Callable, Collection, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import Any, Generic, TypeVar

from chassis.bus.retry_ladder import RetryLadder
from chassis.bus.topology_model import QueueBounds
from chassis.circuit_breaker import CircuitLimits
from chassis.core.codec import Codec
from chassis.core.deadline import Deadline
from chassis.core.decision import Decider
from chassis.core.derived_fields import DerivedFields
from chassis.core.queue_names import ServiceQueues
from chassis.core.recall import Recall
from chassis.messaging.catalog import Catalog
from chassis.messaging.message import Command, Message, earlier_versions
from chassis.messaging.partitions import checked_partitions
from chassis.store.conditions import IndexPath
from chassis.store.protocol import Loaded, StoreRefused

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


@dataclass(frozen=True)
class EffectLimits:
    """How a service may call the outside world, so that a slow or silent provider holds up nothing else."""

    # How many effects run at once.
    concurrent_max: int = 16
    # How long one effect may take with all its calls; afterwards it counts as unavailable. If the instance
    # that runs an effect without an idempotency key dies, another begins it after this time.
    timeout_s: float = 60.0
    # When effects pause after several of them got no response.
    circuit: CircuitLimits = field(default_factory=CircuitLimits)

    def __post_init__(self) -> None:
        if self.concurrent_max < 1 or self.timeout_s <= 0:
            raise ValueError(f"{self}: at least one effect at once, and a time limit above 0")


class EffectUnavailable(Exception):
    """The outside world did not respond: neither a yes nor a no. Try again later, with the same key."""


class EffectNotTried(EffectUnavailable):
    """The effect was not even tried: the instance stops, or a subclass says why."""


class CircuitOpen(EffectNotTried):
    """Several effects before it got no response."""


class EffectRunning(EffectNotTried):
    """It may be running for a copy of the message (leases.py)."""


class ResultRefused(StoreRefused):
    """The database refuses the result of an effect that would happen twice if the message was tried again."""


class TooOld(Exception):
    """An aggregate that has expired may have handled the message. Trying again is no use."""


@dataclass(frozen=True)
class RelatedAggregates(Generic[R]):
    """Other aggregates that a decision needs to see, and may change in the same transaction.

    `keys(state, message)` names them; the decider gets them by key, as `context.related`.
    """

    kind: str
    start: Callable[[str], R]
    keys: Callable[[Any, Any], Collection[str]]
    read_only: bool = False
    indexes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        try:
            self.start("")
        except Exception as error:
            code = inspect.unwrap(self.start).__code__ if inspect.isfunction(self.start) else None
            location = f" at {code.co_filename}:{code.co_firstlineno}" if code else ""
            raise TypeError(
                f'related aggregates {self.kind}: start("") raised {type(error).__name__}: {error}; '
                f"let `start`{location} return an empty state for every key"
            ) from error

    @cached_property
    def codec(self) -> Codec[R]:
        return Codec(type(self.start("")))

    def read(self, loaded: Loaded) -> R:
        if loaded.state is None:
            return self.start(loaded.key)
        return loaded.state_object or self.codec.load(loaded.state)


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
    # ask for it, and several instances at once may run it. Otherwise one at a time has a lease (leases.py).
    effects_are_idempotent: bool = False
    related: RelatedAggregates[Any] | None = None
    deadline: Deadline[S] | None = None
    # How many handled messages it remembers. Aggregates without an end remember a few; their states must
    # recognise old messages by themselves (a revision). None: HANDLED_MAX, more than ever change an aggregate
    # that has an end.
    handled_max: int | None = None
    # What its API queries, besides the key: paths of the state, derived fields, or several of them together.
    indexes: tuple[IndexPath, ...] = ()
    derived: DerivedFields[S] | None = None
    # The statuses in which it waits for a message that should come soon. An index finds these aggregates, so
    # that a search for what is under way does not read the history.
    open_statuses: frozenset[str] = frozenset()
    # How long after its last change the database keeps it; None: for ever.
    ttl: timedelta | None = None
    # The statuses in which that time counts: what still waits for something never expires. None: in all of
    # them.
    ended_statuses: frozenset[str] | None = None
    # The statuses in which personal data is erased: also fields that a newer release has added.
    erased_statuses: frozenset[str] = frozenset()
    # For the service's own metrics: gets the states before and after a message and the present time, once the
    # change is stored and what it emitted is published. Not called for a message that was decided about
    # before.
    observe: Callable[[S, S, datetime], None] | None = None
    # How it follows from the service's own events if the database is set back. None: from its messages alone.
    recall: Recall[S] | None = None
    # Whether a restored backup may contain it. Not a login: one that has ended since would go on.
    restorable: bool = True

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

    def dump(self, state: S, loaded: Loaded, now: datetime) -> dict[str, Any]:
        """The document of a state that replaces the loaded one."""
        erased = bool(self.erased_statuses) and str(getattr(state, "status", "")) in self.erased_statuses
        document = self.codec.dump(state, None if erased else loaded.state)
        if self.derived is not None:
            document |= self.derived.of(state, loaded.state or {}, key=loaded.key, changed_at=now)
        return document

    @property
    def indexed(self) -> tuple[IndexPath, ...]:
        status = ("status",) if self.open_statuses and "status" not in self.indexes else ()
        return (*self.indexes, *status)

    def read(self, loaded: Loaded) -> S:
        """The state; `start` if nothing is stored yet."""
        if loaded.state is None:
            return self.start
        return loaded.state_object or self.codec.load(loaded.state)


@dataclass(frozen=True)
class ServiceDefinition(ServiceQueues):
    """A service's name and its aggregates. Exactly one of them handles each message type."""

    name: str
    aggregates: tuple[Aggregate[Any], ...]
    # The messages that the service's program knows.
    catalog: Catalog = field(kw_only=True)
    # How many deliveries may be unacknowledged at once, per queue. Commands that call the outside world are
    # few.
    prefetch_events: int = 200
    prefetch_commands: int = 200
    effects: EffectLimits = field(default_factory=EffectLimits)
    # None: its input queues are unbounded and drop nothing.
    queue_bounds: QueueBounds | None = None
    retry_ladder: RetryLadder = field(default_factory=RetryLadder)
    # The commands that it may send to other services. Only the gateway sends any, on behalf of users.
    sends: tuple[type[Command], ...] = ()
    # How long messages wait for others while there are few, so that they share a write. For services without
    # latency requirements.
    linger_s: float = 0.0
    # The databases that its user reaches besides the service's own, which has the service's name.
    further_databases: tuple[str, ...] = ()
    # How many queues hold its events, and how many its commands (bus/partitioning.py). Each instance consumes
    # all of them.
    partitions: int = 1
    # The messages that the release before dead-letters, because it does not know them. They have queues of
    # their own, which its instances do not consume (docs/decisions/0055).
    added: tuple[type[Message], ...] = ()
    # The aggregate of each handled message and of its earlier versions.
    by_type: Mapping[type[Message], Aggregate[Any]] = field(init=False)

    def __post_init__(self) -> None:
        checked_partitions(self.name, self.partitions)
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
        earlier = {older: of for handled, of in routes.items() for older in earlier_versions(handled)}
        object.__setattr__(self, "by_type", earlier | routes)
        self._require_handlers_of_added()

    def _require_handlers_of_added(self) -> None:
        for each in self.added:
            if each not in self.by_type:
                raise TypeError(f"{self.name}: no aggregate handles {each.__name__}; remove it from `added`")

    def as_handled(self, message: Message) -> Message:
        """The message in the version that its aggregate handles. Raises UpcastFailed."""
        return self.catalog.upcast(message, until=self.by_type[type(message)].handles)

    @property
    def kinds(self) -> dict[str, tuple[IndexPath, ...]]:
        """The collections of this service, and the paths of the state that its own API queries."""
        related: dict[str, tuple[IndexPath, ...]] = {
            each.related.kind: each.related.indexes for each in self.aggregates if each.related
        }
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
    def databases(self) -> tuple[str, ...]:
        """The databases that this service's user reaches, its own first."""
        return (self.name, *self.further_databases)
