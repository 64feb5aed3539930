"""The switchboard of a service: which aggregate hears which messages, and who decides."""

from collections.abc import Awaitable, Callable, Collection, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import Any

from pydantic import TypeAdapter

from chassis.core.decision import Decision, RunEffect
from chassis.store.protocol import Loaded
from contracts.identity import derived_id
from contracts.message import Command, Message

# By default: as long as books have to be kept in many countries. docs/retention.md has the rule for each collection.
DEFAULT_TTL = timedelta(days=3_650)
# An aggregate counts as gone this much before its deletion, because the clocks of two machines differ.
CLOCK_MARGIN = timedelta(days=1)
_CLOCKS_ARE_SET_SINCE = datetime(2020, 1, 1, tzinfo=UTC)

EffectHandler = Callable[[Any, datetime], Awaitable[Any]]
"""Puts a decider's question to the outside world and gives its answer; raises EffectUnavailable if there is none.

With the question comes the time at which its command was said. It is the same however often the command comes again,
also after a redrive, so that nothing is done twice that the outside world has forgotten.
"""


class EffectUnavailable(Exception):
    """The outside world gave no answer: neither a yes nor a no. Ask again later, with the same key."""


class CircuitOpen(EffectUnavailable):
    """It was not even asked: others have just met silence."""


class TooOld(Exception):
    """The message may have been handled by an aggregate that has expired. Trying again is no use."""


class Codec:
    """State <-> JSON-compatible document."""

    def __init__(self, state: type) -> None:
        self._adapter: TypeAdapter[Any] = TypeAdapter(state)

    def load(self, document: Mapping[str, Any]) -> Any:
        return self._adapter.validate_python(document)

    def dump(self, state: Any) -> dict[str, Any]:
        document: dict[str, Any] = self._adapter.dump_python(state, mode="json")
        return document


@dataclass(frozen=True)
class RelatedAggregates:
    """Other aggregates that a decision needs to see, and may change in the same transaction.

    `keys(state, message)` names them; the decider gets them as a mapping by key, its third argument.
    """

    kind: str
    start: Callable[[str], Any]
    keys: Callable[[Any, Any], Collection[str]]
    read_only: bool = False

    @property
    def cacheable(self) -> bool:
        """Where nothing is written nothing would tell that what we remember is old."""
        return not self.read_only

    @cached_property
    def codec(self) -> Codec:
        return Codec(type(self.start("")))

    def read(self, loaded: Loaded) -> Any:
        return self.start(loaded.key) if loaded.state is None else loaded.state_object or self.codec.load(loaded.state)


@dataclass(frozen=True)
class Deadline:
    """While `waiting(state)`, at most `after` may pass; then the service sends itself `say(key)`.

    With `at` the state names the time itself, and may name a new one each time: each is a reminder of its own.
    """

    waiting: Callable[[Any], bool]
    say: Callable[[str], Command]
    after: timedelta = timedelta(0)
    at: Callable[[Any], datetime | None] | None = None

    def due_at(self, state: Any, before: datetime | None, now: datetime) -> datetime | None:
        """When to send it for this state. `before`: what the document says until now."""
        if not self.waiting(state):
            return None
        return self.at(state) if self.at else before or now + self.after

    def reminder_id(self, kind: str, key: str, due_at: datetime) -> str:
        """The same however often, and by whichever instance, the reminder is sent."""
        return derived_id(kind, key, "deadline", *([due_at.isoformat()] if self.at else []))


@dataclass(frozen=True)
class Aggregate:
    """One kind of thing that a service keeps, one document each, and the rule for every message about it."""

    kind: str
    start: Any
    decide: Callable[..., Decision[Any] | RunEffect]
    handles: tuple[type[Message], ...]
    key: Callable[[Any], str] = lambda message: message.subject
    # Messages that nearly always find no aggregate yet. It is not looked for first: the insert tells.
    created_by: tuple[type[Message], ...] = ()
    # Whether its questions carry a key that the outside world takes once: then they may be asked on old news.
    effects_are_idempotent: bool = False
    related: RelatedAggregates | None = None
    deadline: Deadline | None = None
    # How many handled messages it remembers. Aggregates that live as long as the shop remember a few; their states must
    # know old news by themselves (a revision). None: HANDLED_MAX, more than ever change an aggregate that has an end.
    handled_max: int | None = None
    indexes: tuple[str, ...] = ()
    # The statuses in which it is not at rest: a message that it waits for should come soon. An index finds these, so
    # that nobody who asks what is under way reads the history.
    open_statuses: frozenset[str] = frozenset()
    # How long after its last change the database keeps it; None: for ever.
    ttl: timedelta | None = None
    # The statuses in which that time counts: what still waits for something never expires. None: in all of them.
    ended_statuses: frozenset[str] | None = None
    # Whether the rule is also told when a message was said, as its last argument: a projection shows it.
    needs_timestamp: bool = False

    @cached_property
    def codec(self) -> Codec:
        return Codec(type(self.start))

    def kept_until(self, state: Any, now: datetime) -> datetime | None:
        """When what is written now may be deleted."""
        ended = self.ended_statuses is None or str(state.status) in self.ended_statuses
        return now + self.ttl if self.ttl is not None and ended else None

    def forgets(self, said_at: datetime, now: datetime) -> bool:
        """Whether a message is so old that the aggregate which handled it may have expired since.

        A time before computers had the right one says nothing: there are programs that send none, or a wrong one.
        """
        needs_timestamp = said_at > _CLOCKS_ARE_SET_SINCE
        return needs_timestamp and self.ttl is not None and now - said_at > self.ttl - CLOCK_MARGIN

    @property
    def indexed(self) -> tuple[str, ...]:
        status = ("status",) if self.open_statuses and "status" not in self.indexes else ()
        return (*self.indexes, *status)

    @property
    def cacheable(self) -> bool:
        """Where the database drops old ids our memory would grow."""
        return self.handled_max is None

    def read(self, loaded: Loaded) -> Any:
        """The state; of one that there is not yet, the start."""
        return self.start if loaded.state is None else loaded.state_object or self.codec.load(loaded.state)


@dataclass(frozen=True)
class ServiceDefinition:
    """A service's name and its aggregates. Every message type is heard by exactly one of them."""

    name: str
    aggregates: tuple[Aggregate, ...]
    # How many deliveries may be in hand at once, per queue. Commands that call the outside world are few.
    prefetch_events: int = 200
    prefetch_commands: int = 200
    # How many questions may be before the outside world at once: a slow provider holds up nothing else.
    effects_max: int = 16
    # The commands that it may send to others: a gateway speaks for the people at its door.
    sends: tuple[type[Command], ...] = ()
    # How long it lets messages gather, while few wait, that they may share a write: where nobody is in a hurry.
    linger_s: float = 0.0
    by_type: Mapping[type[Message], Aggregate] = field(init=False)

    def __post_init__(self) -> None:
        for asked in self.sends:
            if self.name not in asked.ASKED_BY:
                raise TypeError(f"{self.name}: it asks {asked.__name__}, whose asked_by does not name it")
        routes: dict[type[Message], Aggregate] = {}
        for aggregate in self.aggregates:
            for heard in aggregate.handles:
                if heard in routes:
                    raise TypeError(f"{self.name}: {heard.__name__} is heard twice")
                if issubclass(heard, Command) and self.name != heard.OWNER:
                    raise TypeError(f"{self.name}: {heard.__name__} is a command to {heard.OWNER}")
                routes[heard] = aggregate
        object.__setattr__(self, "by_type", routes)

    @property
    def kinds(self) -> dict[str, tuple[str, ...]]:
        """The collections this service owns, and the paths of the state that its own API looks things up by."""
        beside = {a.related.kind: () for a in self.aggregates if a.related}
        return beside | {aggregate.kind: aggregate.indexed for aggregate in self.aggregates}

    @property
    def changes_related(self) -> bool:
        """Whether two groups at once could want the same aggregate alongside, and would have to fight for it."""
        return any(a.related and not a.related.read_only for a in self.aggregates)

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
