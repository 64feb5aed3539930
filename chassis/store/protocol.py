"""What the chassis needs of a database. `mongo.py` and `memory.py` give it; one test suite binds both.

An aggregate is one document: its state, its version, the ids of the messages it has handled, and what it said
about each, byte for byte. All of that changes in one atomic write, or not at all.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol

from contracts.envelope import Envelope

# How many messages that changed an aggregate, and how many that did not, it remembers: the newest of each. An aggregate
# that comes to an end is changed by a few dozen messages at most, so it remembers all of them.
HANDLED_MAX = 200
UNCHANGED_MAX = 100

Json = dict[str, Any]
Where = Mapping[str, Any]
"""A dotted path of the state -> the value it equals or, if it is a list there, contains; or values, all contained.
A frozenset of values: it equals one of them."""


class StoreUnavailable(Exception):
    """The database was not reached, or did not answer in time. The outcome of a write is then unknown."""


class StoreRefused(Exception):
    """The database will never take this write (document too large, no rights). Trying again is no use."""


@dataclass(frozen=True, slots=True)
class Loaded:
    """An aggregate as the majority of the database knows it. Version 0: there is none yet."""

    kind: str
    key: str
    version: int = 0
    state: Json | None = None
    handled: frozenset[str] = frozenset()
    deadline_at: datetime | None = None
    unpublished: bool = False
    from_cache: bool = False  # not read just now: it may be old
    state_object: Any = None  # the state, where it need not be read out of its document again
    changed_at: datetime | None = None  # None: written by a version that did not note it


@dataclass(frozen=True, slots=True)
class Dated:
    """An aggregate with all that tells how long it is kept. `changed_at`: its last change, as far as that is noted."""

    key: str
    version: int
    state: Json
    changed_at: datetime | None
    kept_until: datetime | None
    deadline_at: datetime | None = None
    unpublished: bool = False


@dataclass(frozen=True, slots=True)
class Handled:
    """That a message was handled, when, in which journey, what was said about it, and what it did to the status.

    `changed`: whether it changed the state. Those that did not are kept apart, so that however many of them come, they
    do not push out the others.
    """

    message_id: str
    type: str
    at: datetime
    status: tuple[str, str]
    emits: tuple[Envelope, ...]
    journey: str = ""
    changed: bool = True


@dataclass(slots=True)
class Change:
    """One aggregate's next version. It is written only if the stored version is still `loaded.version`."""

    loaded: Loaded
    state: Json
    handled: list[Handled] = field(default_factory=list)
    deadline_at: datetime | None = None
    unpublished: bool = False
    handled_max: int = HANDLED_MAX
    kept_until: datetime | None = None
    changed_at: datetime | None = None

    @property
    def unchanged_max(self) -> int:
        return min(self.handled_max, UNCHANGED_MAX)

    @property
    def changed(self) -> list[Handled]:
        """Of the messages that changed the state, those that are kept."""
        return [handled for handled in self.handled if handled.changed][-self.handled_max :]

    @property
    def unchanged(self) -> list[Handled]:
        return [handled for handled in self.handled if not handled.changed][-self.unchanged_max :]

    def result(self, state_object: Any) -> Loaded | None:
        """The aggregate once this is written, as its writer knows it; None if the store may have dropped ids of it."""
        was, ids = self.loaded, self.loaded.handled | {handled.message_id for handled in self.handled}
        if len(ids) > self.unchanged_max:
            return None
        stored = (was.kind, was.key, was.version + 1, self.state, ids, self.deadline_at, was.unpublished)
        return Loaded(*stored, from_cache=True, state_object=state_object, changed_at=self.changed_at)


class Store(Protocol):
    """The collections of one service. Nobody else reads or writes them."""

    async def start(self, kinds: Mapping[str, Collection[str]]) -> None:
        """Connect and index each kind by the given paths of its state.

        Raises StoreUnavailable, or StoreRefused with the remedy.
        """
        ...

    async def stop(self) -> None: ...
    async def ping(self) -> datetime | None:
        """One round trip. The database's own time, where it has a clock; raises StoreUnavailable or StoreRefused."""
        ...

    async def load(self, kind: str, keys: Collection[str]) -> dict[str, Loaded]:
        """A majority read of many aggregates at once; every key is in the answer."""
        ...

    async def said(self, kind: str, wanted: Mapping[str, Collection[str]]) -> dict[str, tuple[Envelope, ...]]:
        """For {key: message ids}: what was said when each was handled, by message id, byte for byte."""
        ...

    async def save(self, changes: Sequence[Change], *, together: bool = False) -> bool:
        """Compare-and-set many aggregates; with `together` all or none, in one transaction.

        True: every change is written. False: at least one is not, or is not known to be; the caller loads
        again and asks first whether its message is already handled. Raises StoreUnavailable or StoreRefused.
        """
        ...

    async def due(self, kind: str, now: datetime, limit: int) -> dict[str, datetime]:
        """Keys of aggregates whose deadline has passed, and when it did; oldest first."""
        ...

    async def unpublished(self, kind: str, older_than: datetime, limit: int) -> list[tuple[Loaded, list[Envelope]]]:
        """Aggregates whose last words may not have reached the broker, with all their words that are kept."""
        ...

    async def published(self, kind: str, key: str, version: int, kept_until: datetime | None = None) -> None:
        """Clear the mark, if nothing has changed since `version`, and say how long it is kept."""
        ...

    async def dated(self, kind: str, *, after: str, limit: int) -> list[Dated]:
        """A page of all aggregates of a kind, ordered by key."""
        ...

    async def keep(self, kind: str, until: Mapping[str, tuple[int, datetime | None]]) -> int:
        """For {key: (version, time)}: keep it until then, or for as long as it does not change; how many were written.

        One that has another version by now, or words to publish, is left as it is.
        """
        ...

    async def find(
        self, kind: str, where: Where | None = None, *, after: str = "", limit: int = 20, newest_first: bool = False
    ) -> list[Loaded]:
        """A page of aggregates ordered by key."""
        ...

    async def changed(self, kind: str, since: datetime, *, after: str = "", limit: int = 20) -> list[Loaded]:
        """A page of aggregates by the time of their last change, then by key; it reads no others.

        To go on, pass the `changed_at` and the key of the last one.
        """
        ...

    async def about(self, kind: str, subjects: Collection[str]) -> list[Loaded]:
        """The aggregates that are named like one of the subjects, or `<subject>:<anything>`."""
        ...

    async def journey(self, kind: str, journey: str) -> list[tuple[Loaded, list[Handled]]]:
        """What the aggregates of one kind did in one journey, for people who ask; oldest first.

        Of an aggregate that has the journey's name: all that it did, in whichever journey.
        """
        ...
