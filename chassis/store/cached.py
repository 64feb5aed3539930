"""A store that remembers what this instance last read or wrote, so that it need not read before each message.

A cached version may be outdated, because other instances write too. Two rules keep it as safe as reading. A
write still checks the version. And a decision that leads to no write, which nothing would check, is refused
if it rests on a cached version.

The store reads, and does not use its cache:

- for aggregates of a write that was refused, cancelled or unanswered: the next load reads them;
- for the read set of a refused decision, which is also that of a redelivered message;
- for 10 s for the whole kind, after the version of another instance or after an unanswered write.
"""

import asyncio
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import Enum, auto

from chassis.messaging.envelope import Envelope
from chassis.store.protocol import AggregateKey, AggregateStore, Change, Loaded, StoreUnavailable
from chassis.telemetry.cache_lookups import CacheLookups

AGGREGATES_MAX = 2_000
BYPASS_S = 10.0


class SaveResult(Enum):
    """How a save ended.

    CONFLICT: a version was newer, or the outcome is unknown. UNCHECKED: nothing was written, because a
    decision rests on a cached version that no write checks; the next load reads it.
    """

    WRITTEN = auto()
    CONFLICT = auto()
    UNCHECKED = auto()


@dataclass(frozen=True, slots=True)
class _Attempt:
    """A decision that may not have been written: the cached version that it rests on (0: none),
    and its message ids.
    """

    version: int
    message_ids: frozenset[str] = frozenset()


class CachedStore:
    """A decorator of AggregateStore for the message path of one instance.

    `kinds`: the kinds to cache. No other kind of the service is ever served from the cache. `service`: its
    name, for the metrics.
    """

    def __init__(self, store: AggregateStore, kinds: Collection[str], service: str = "") -> None:
        self._store = store
        self._kinds = frozenset(kinds)
        self._lookups = CacheLookups(service)
        self._cached: dict[AggregateKey, Loaded] = {}
        self._unsettled: dict[AggregateKey, _Attempt] = {}  # the next load reads these
        self._bypassed_until: dict[str, float] = {}

    async def load(
        self, kind: str, keys: Collection[str], *, probably_new: Collection[str] = ()
    ) -> dict[str, Loaded]:
        """Each aggregate from the cache, or else from the database.

        `probably_new`: those that a message probably creates. They are not read; the insert fails if they
        exist.
        """
        if self.is_bypassed(kind):
            self._lookups.count(kind, bypassed=len(keys))
            return await self._read(kind, keys)
        unread = [key for key in probably_new if (kind, key) not in self._unsettled]
        found = {key: Loaded(kind, key, from_cache=True) for key in unread}
        found |= {key: self._cached[kind, key] for key in keys if (kind, key) in self._cached}
        missing = [key for key in keys if key not in found]
        hits = len(keys) - len(missing) - len(unread)
        self._lookups.count(kind, hit=hits, miss=len(missing), new=len(unread))
        if missing:
            found |= await self._read(kind, missing)
        return found

    async def emitted(
        self, kind: str, wanted: Mapping[str, Collection[str]]
    ) -> dict[str, tuple[Envelope, ...]]:
        return await self._store.emitted(kind, wanted)

    async def save(
        self, changes: Sequence[Change], *, together: bool = False, read_set: Collection[Loaded] = ()
    ) -> SaveResult:
        """See AggregateStore.save. `read_set`: what the decisions rest on and no change writes."""
        if rests_on_cached(read_set):
            self._forget(changes, read_set)
            return SaveResult.UNCHECKED
        if not changes:
            return SaveResult.WRITTEN
        written = False
        try:
            written = await self._store.save(changes, together=together)
        except StoreUnavailable:
            self._bypass({change.loaded.kind for change in changes})
            raise
        finally:
            if written:
                self._put_written(changes)
            else:  # also if it is cancelled: the database may still write it
                self._forget(changes, read_set)
        return SaveResult.WRITTEN if written else SaveResult.CONFLICT

    def is_bypassed(self, kind: str) -> bool:
        return asyncio.get_running_loop().time() < self._bypassed_until.get(kind, 0.0)

    async def _read(self, kind: str, keys: Collection[str]) -> dict[str, Loaded]:
        found = await self._store.load(kind, keys)
        attempts = [(self._unsettled.pop((kind, key), None), loaded) for key, loaded in found.items()]
        if any(attempt and _other_instance_wrote(attempt, loaded) for attempt, loaded in attempts):
            self._bypass([kind])
        self._put(found.values())
        return found

    def _put_written(self, changes: Iterable[Change]) -> None:
        for change in changes:
            if (stored := _after(change)) is not None:
                self._put([stored])
            else:
                self._cached.pop(change.loaded.aggregate_key, None)

    def _put(self, aggregates: Iterable[Loaded]) -> None:
        for loaded in aggregates:
            if loaded.kind not in self._kinds or self.is_bypassed(loaded.kind):
                continue
            key = loaded.aggregate_key
            if key in self._cached and self._cached[key].version > loaded.version:
                continue  # this read began before our write, and ended after it
            self._cached[key] = loaded if loaded.from_cache else replace(loaded, from_cache=True)
        _drop_oldest(self._cached)

    def _forget(self, changes: Iterable[Change], read_set: Iterable[Loaded]) -> None:
        """Have the next load read all of them."""
        attempts = {each.aggregate_key: _Attempt(_cached_version(each)) for each in read_set}
        for change in changes:
            ids = frozenset(handled.message_id for handled in change.handled)
            attempts[change.loaded.aggregate_key] = _Attempt(_cached_version(change.loaded), ids)
        for key in attempts:
            self._cached.pop(key, None)
        self._unsettled |= attempts
        _drop_oldest(self._unsettled)

    def _bypass(self, kinds: Collection[str]) -> None:
        """Read these kinds for a while: other instances write them too,
        or the outcome of a write is unknown.
        """
        until = asyncio.get_running_loop().time() + BYPASS_S
        self._bypassed_until |= dict.fromkeys(kinds, until)
        self._cached = {key: loaded for key, loaded in self._cached.items() if key[0] not in kinds}


def rests_on_cached(read_set: Iterable[Loaded]) -> bool:
    """Whether a decision rests on a cached version that no write checks."""
    return any(loaded.from_cache for loaded in read_set)


def _cached_version(loaded: Loaded) -> int:
    return loaded.version if loaded.from_cache else 0


def _other_instance_wrote(attempt: _Attempt, now: Loaded) -> bool:
    """Whether the cached version was outdated, and not by our own write, whose answer may have been lost."""
    return 0 < attempt.version < now.version and not attempt.message_ids & now.handled


def _after(change: Change) -> Loaded | None:
    """The aggregate after this write; None if the store may have dropped handled ids of it."""
    before = change.loaded
    ids = before.handled | {handled.message_id for handled in change.handled}
    if len(ids) > change.unchanged_max:
        return None
    return Loaded(
        before.kind,
        before.key,
        version=before.version + 1,
        state=change.state,
        handled=ids,
        deadline_at=change.deadline_at,
        unpublished=before.unpublished,
        from_cache=True,
        state_object=change.state_object,
        changed_at=change.changed_at,
        lease=change.lease,
    )


def _drop_oldest(entries: dict[AggregateKey, Loaded] | dict[AggregateKey, _Attempt]) -> None:
    while len(entries) > AGGREGATES_MAX:
        del entries[next(iter(entries))]  # a dict is ordered by insertion
