"""The database as the chassis needs it.

`mongodb.py` and `memory.py` implement it; one conformance suite tests both.

An aggregate is one document: its state, its version, the ids of the messages it has handled, and the
envelopes that it emitted for each, byte for byte. One atomic write changes all of that, or nothing.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol

from chassis.messaging.envelope import Envelope
from chassis.store.conditions import IndexPath, Where
from chassis.store.lease import Lease

# How many messages that changed an aggregate, and how many that did not, it remembers: the newest of each. A
# few dozen messages at most change an aggregate that comes to an end, so it remembers all of them.
HANDLED_MAX = 200
UNCHANGED_MAX = 100

# Of how many aggregates `count_in_status` compares the times.
COMPARED_MAX = 500

AggregateKey = tuple[str, str]  # kind, key
Json = dict[str, Any]


class StoreUnavailable(Exception):
    """The database was unreachable or did not respond in time. The outcome of a write is unknown."""


class WriteConflicts(StoreUnavailable):
    """Each of several attempts to write met a newer version: other instances write the same documents.

    The database responds. It is a StoreUnavailable because callers do the same: they try again later.
    """


class StoreRefused(Exception):
    """The database will never accept this write (document too large, no permission). A retry is useless."""


@dataclass(frozen=True, slots=True)
class Loaded:
    """An aggregate as a majority of the database's nodes has stored it. Version 0: it does not exist yet."""

    kind: str
    key: str
    version: int = 0
    state: Json | None = None
    handled: frozenset[str] = frozenset()
    deadline_at: datetime | None = None
    unpublished: bool = False
    from_cache: bool = False  # possibly stale: it comes from the cache
    state_object: Any = None  # the decoded state, if it is at hand
    changed_at: datetime | None = None  # None: written by a version that did not record it
    lease: Lease | None = None

    @property
    def aggregate_key(self) -> AggregateKey:
        return self.kind, self.key


@dataclass(frozen=True, slots=True)
class DueAggregate:
    """An aggregate whose deadline has passed.

    `traceparent`: that of the first message in its record, which has its sampling decision; empty if there is
    none.
    """

    deadline_at: datetime
    traceparent: str = ""


@dataclass(frozen=True, slots=True)
class Dated:
    """An aggregate with all that its retention depends on.

    `changed_at`: its last change, as far as recorded.
    """

    key: str
    version: int
    state: Json
    changed_at: datetime | None
    kept_until: datetime | None
    deadline_at: datetime | None = None
    unpublished: bool = False


@dataclass(frozen=True, slots=True)
class HandlingTimes:
    """What preceded the decision about a message. None and 0: it did not happen, or was not recorded.

    `sent_at`: as the message's sender wrote it, so for a client's message it is unverified. `received_at`: of
    the delivery that was handled. `failed_attempts` and `postponed`: how often an earlier delivery of it
    failed, and how often it waited because an external service was unavailable.
    """

    sent_at: datetime | None = None
    received_at: datetime | None = None
    effect_began_at: datetime | None = None
    effect_ended_at: datetime | None = None
    failed_attempts: int = 0
    postponed: int = 0


NO_TIMES = HandlingTimes()


@dataclass(frozen=True, slots=True)
class StatusCount:
    """How many aggregates have one status. `oldest`: the earliest last change of those that were compared."""

    count: int
    oldest: datetime | None


@dataclass(frozen=True, slots=True)
class Handled:
    """The record of a handled message: when, in which journey, what was emitted,
    and the status before and after.

    `changed`: whether it changed the state. Messages that did not are kept apart, so that any number of them
    displaces none of the others. `times`: what preceded `at`, for people; no decision reads it.
    """

    message_id: str
    type: str
    at: datetime
    status: tuple[str, str]
    emits: tuple[Envelope, ...]
    journey: str = ""
    changed: bool = True
    times: HandlingTimes = NO_TIMES


@dataclass(slots=True)
class Change:
    """The next version of one aggregate. It is written only if the stored version is still `loaded.version`.

    `state_object`: the state that `state` encodes, if it is at hand.
    """

    loaded: Loaded
    state: Json
    handled: list[Handled] = field(default_factory=list)
    deadline_at: datetime | None = None
    unpublished: bool = False
    handled_max: int = HANDLED_MAX
    kept_until: datetime | None = None
    changed_at: datetime | None = None
    state_object: Any = None
    lease: Lease | None = None

    @property
    def unchanged_max(self) -> int:
        return min(self.handled_max, UNCHANGED_MAX)

    @property
    def changed(self) -> list[Handled]:
        """The records to keep of messages that changed the state."""
        return [handled for handled in self.handled if handled.changed][-self.handled_max :]

    @property
    def unchanged(self) -> list[Handled]:
        return [handled for handled in self.handled if not handled.changed][-self.unchanged_max :]


class AggregateStore(Protocol):
    """What a decision needs: to load aggregates, and to save what was decided."""

    async def load(self, kind: str, keys: Collection[str]) -> dict[str, Loaded]:
        """Majority-read many aggregates at once. The result has every key."""
        ...

    async def emitted(
        self, kind: str, wanted: Mapping[str, Collection[str]]
    ) -> dict[str, tuple[Envelope, ...]]:
        """For {key: message ids}: the envelopes emitted for each message, by its id, byte for byte."""
        ...

    async def save(self, changes: Sequence[Change], *, together: bool = False) -> bool:
        """Compare-and-set many aggregates; with `together` all or none, in one transaction.

        True: every change is written. False: at least one is not, or its outcome is unknown; the caller loads
        again and first checks whether its message is already handled. Raises StoreUnavailable or
        StoreRefused.
        """
        ...


class Store(AggregateStore, Protocol):
    """The collections of one service. No other service reads or writes them."""

    async def start(self, kinds: Mapping[str, Collection[IndexPath]]) -> None:
        """Connect, and index each kind by the given paths of its state.

        Raises StoreUnavailable, or StoreRefused with the remedy.
        """
        ...

    async def stop(self) -> None: ...
    async def ping(self) -> datetime | None:
        """One round trip. Returns the database's time if it has a clock;
        raises StoreUnavailable or StoreRefused.
        """
        ...

    async def due(self, kind: str, now: datetime, limit: int) -> dict[str, DueAggregate]:
        """The aggregates whose deadline has passed, by key; oldest first."""
        ...

    async def unpublished(
        self, kind: str, older_than: datetime, limit: int
    ) -> list[tuple[Loaded, list[Envelope]]]:
        """Aggregates whose last messages may not have reached the broker, with all their stored messages."""
        ...

    async def count_unpublished(self, kind: str, limit: int) -> int:
        """How many aggregates have the unpublished flag, counted up to the limit."""
        ...

    async def count_in_status(self, kind: str, status: str, limit: int) -> StatusCount:
        """How many aggregates have this status, counted up to the limit, and since when the oldest has not
        changed.

        `status` is an open status of the kind, so an index has it. `oldest` is the earliest among the first
        COMPARED_MAX by key; keys that begin with a time (UUIDv7) put the oldest first.
        """
        ...

    async def published(self, kind: str, key: str, version: int, kept_until: datetime | None = None) -> None:
        """Clear the unpublished flag, if the version is still `version`,
        and set when the aggregate expires.
        """
        ...

    async def dated(self, kind: str, *, after: str, limit: int) -> list[Dated]:
        """A page of all aggregates of a kind, ordered by key."""
        ...

    async def keep(self, kind: str, until: Mapping[str, tuple[int, datetime | None]]) -> int:
        """For {key: (version, time)}: set the expiry time, or remove it (None).

        Returns how many documents were written.

        Skips an aggregate that has another version by now, or messages to publish.
        """
        ...

    async def find(
        self,
        kind: str,
        where: Where | None = None,
        *,
        by: str = "",
        after: str = "",
        limit: int = 20,
        newest_first: bool = False,
    ) -> list[Loaded]:
        """A page of aggregates ordered by key, or by the unique text at the path `by` of their states.

        For the next page, pass the key or that text of the last one.
        """
        ...

    async def count_by(self, kind: str, path: str, where: Where | None = None) -> dict[str, int]:
        """How many aggregates there are for each text at the path. An index has it and all of `where`."""
        ...

    async def set_derived(self, kind: str, values: Mapping[str, tuple[int, Mapping[str, str]]]) -> int:
        """For {key: (version, {field: value})}: set fields of the state, if the version is still the same.

        The version stays. Returns how many documents were written.
        """
        ...

    async def changed(self, kind: str, since: datetime, *, after: str = "", limit: int = 20) -> list[Loaded]:
        """A page of aggregates by the time of their last change, then by key; it reads no others.

        For the next page, pass the `changed_at` and the key of the last one.
        """
        ...

    async def about(self, kind: str, subjects: Collection[str]) -> list[Loaded]:
        """The aggregates whose key is one of the subjects, or `<subject>:<anything>`."""
        ...

    async def journey(self, kind: str, journey: str) -> list[tuple[Loaded, list[Handled]]]:
        """What the aggregates of one kind handled in one journey, for people who investigate it;
        oldest first.

        If an aggregate's key is the journey's id: all that it handled, in any journey.
        """
        ...
