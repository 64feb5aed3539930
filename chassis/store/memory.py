"""The store in memory: for tests, the simulation, and a demo without installed servers."""

import asyncio
import pickle
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import islice

from chassis.messaging.envelope import Envelope
from chassis.store.conditions import IndexPath, Where, holds, value_at
from chassis.store.protocol import (
    COMPARED_MAX,
    Change,
    Dated,
    DueAggregate,
    Handled,
    Loaded,
    StatusCount,
    StoreUnavailable,
)


@dataclass(frozen=True)
class _Document:
    loaded: Loaded
    changed: tuple[Handled, ...] = ()
    unchanged: tuple[Handled, ...] = ()
    unpublished_since: datetime | None = None
    kept_until: datetime | None = None

    @property
    def handled(self) -> list[Handled]:
        return sorted((*self.changed, *self.unchanged), key=lambda handled: handled.at)

    @property
    def first_traceparent(self) -> str:
        """Of the first message that it emitted, if the first record has one."""
        emits = self.changed[0].emits if self.changed else ()
        return emits[0].traceparent if emits else ""

    def read(self) -> Loaded:
        """A copy, as from a database."""
        unpublished = self.unpublished_since is not None
        return replace(
            self.loaded, state=pickle.loads(pickle.dumps(self.loaded.state)), unpublished=unpublished
        )


class MemoryStore:
    """See chassis.store.protocol.Store. While `away`, every call fails."""

    def __init__(self) -> None:
        self._kinds: dict[str, dict[str, _Document]] = {}
        self.away = False

    async def start(self, kinds: Mapping[str, Collection[IndexPath]]) -> None:
        await self.ping()

    async def stop(self) -> None: ...

    async def ping(self) -> datetime | None:
        await asyncio.sleep(0)
        if self.away:
            raise StoreUnavailable("the store is away")
        return None

    async def _documents(self, kind: str) -> dict[str, _Document]:
        await self.ping()
        return self._kinds.setdefault(kind, {})

    async def load(self, kind: str, keys: Collection[str]) -> dict[str, Loaded]:
        documents = await self._documents(kind)
        return {key: documents[key].read() if key in documents else Loaded(kind, key) for key in keys}

    async def emitted(
        self, kind: str, wanted: Mapping[str, Collection[str]]
    ) -> dict[str, tuple[Envelope, ...]]:
        documents = await self._documents(kind)
        known = (
            (ids, handled)
            for key, ids in wanted.items()
            if key in documents
            for handled in documents[key].handled
        )
        return {handled.message_id: handled.emits for ids, handled in known if handled.message_id in ids}

    async def save(self, changes: Sequence[Change], *, together: bool = False) -> bool:
        await self.ping()
        current = [change for change in changes if self._version(change.loaded) == change.loaded.version]
        if len(current) == len(changes) or not together:
            for change in current:
                self._write(change)
        return len(current) == len(changes)

    def _version(self, loaded: Loaded) -> int:
        document = self._kinds.setdefault(loaded.kind, {}).get(loaded.key)
        return document.loaded.version if document else 0

    def _write(self, change: Change) -> None:
        kind, key = change.loaded.aggregate_key
        before = self._kinds[kind].get(key) or _Document(change.loaded)
        changed = (*before.changed, *change.changed)[-change.handled_max :]
        unchanged = (*before.unchanged, *change.unchanged)[-change.unchanged_max :]
        ids = frozenset(each.message_id for each in (*changed, *unchanged))
        state = pickle.loads(pickle.dumps(change.state))
        loaded = Loaded(
            kind,
            key,
            version=change.loaded.version + 1,
            state=state,
            handled=ids,
            deadline_at=change.deadline_at,
            changed_at=change.changed_at or before.loaded.changed_at,
            lease=change.lease,
        )
        self._kinds[kind][key] = _Document(
            loaded,
            changed,
            unchanged,
            unpublished_since=change.handled[-1].at if change.unpublished else before.unpublished_since,
            kept_until=change.kept_until,
        )

    async def due(self, kind: str, now: datetime, limit: int) -> dict[str, DueAggregate]:
        documents = await self._documents(kind)
        waiting = [
            (each.loaded.deadline_at, key) for key, each in documents.items() if each.loaded.deadline_at
        ]
        return {
            key: DueAggregate(at, documents[key].first_traceparent)
            for at, key in sorted(waiting)[:limit]
            if at <= now
        }

    async def unpublished(
        self, kind: str, older_than: datetime, limit: int
    ) -> list[tuple[Loaded, list[Envelope]]]:
        documents = (await self._documents(kind)).values()
        marked = [
            each for each in documents if each.unpublished_since and each.unpublished_since <= older_than
        ]
        return [
            (each.read(), [emitted for handled in each.handled for emitted in handled.emits])
            for each in marked[:limit]
        ]

    async def count_unpublished(self, kind: str, limit: int) -> int:
        documents = (await self._documents(kind)).values()
        return min(limit, sum(each.unpublished_since is not None for each in documents))

    async def count_in_status(self, kind: str, status: str, limit: int) -> StatusCount:
        found = await self.find(kind, {"status": status}, limit=limit)
        times = [each.changed_at for each in found[:COMPARED_MAX] if each.changed_at]
        return StatusCount(len(found), min(times, default=None))

    async def published(self, kind: str, key: str, version: int, kept_until: datetime | None = None) -> None:
        documents = await self._documents(kind)
        if key in documents and documents[key].loaded.version == version:
            kept = kept_until or documents[key].kept_until
            documents[key] = replace(documents[key], unpublished_since=None, kept_until=kept)

    def expire(self, now: datetime) -> int:
        """Delete expired documents, as a database does by itself; returns how many."""
        gone = [
            (kind, key)
            for kind, documents in self._kinds.items()
            for key, document in documents.items()
            if document.kept_until is not None and document.kept_until <= now
        ]
        for kind, key in gone:
            del self._kinds[kind][key]
        return len(gone)

    async def dated(self, kind: str, *, after: str, limit: int) -> list[Dated]:
        documents = await self._documents(kind)
        found = []
        for key in sorted(key for key in documents if key > after)[:limit]:
            each = documents[key]
            loaded = each.read()
            found.append(
                Dated(
                    key,
                    loaded.version,
                    loaded.state or {},
                    changed_at=loaded.changed_at
                    or max((handled.at for handled in each.handled), default=None),
                    kept_until=each.kept_until,
                    deadline_at=loaded.deadline_at,
                    unpublished=loaded.unpublished,
                )
            )
        return found

    async def keep(self, kind: str, until: Mapping[str, tuple[int, datetime | None]]) -> int:
        documents = await self._documents(kind)
        kept = 0
        for key, (version, at) in until.items():
            each = documents.get(key)
            if each and each.loaded.version == version and each.unpublished_since is None:
                documents[key] = replace(each, kept_until=at)
                kept += 1
        return kept

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
        documents = await self._documents(kind)
        position = {
            key: (value_at(each.loaded.state, by) or "") if by else key for key, each in documents.items()
        }
        in_order = sorted(documents, key=lambda key: position[key], reverse=newest_first)
        page = (
            key
            for key in in_order
            if not after or (position[key] < after if newest_first else position[key] > after)
        )
        found = (documents[key] for key in page if holds(documents[key].loaded.state, where))
        return [document.read() for document in islice(found, limit)]

    async def count_by(self, kind: str, path: str, where: Where | None = None) -> dict[str, int]:
        states = [each.loaded.state for each in (await self._documents(kind)).values()]
        return dict(Counter(str(value_at(state, path)) for state in states if holds(state, where)))

    async def set_derived(self, kind: str, values: Mapping[str, tuple[int, Mapping[str, str]]]) -> int:
        documents = await self._documents(kind)
        written = 0
        for key, (version, fields) in values.items():
            each = documents.get(key)
            if each and each.loaded.version == version:
                loaded = replace(each.loaded, state={**(each.loaded.state or {}), **fields})
                documents[key] = replace(each, loaded=loaded)
                written += 1
        return written

    async def changed(self, kind: str, since: datetime, *, after: str = "", limit: int = 20) -> list[Loaded]:
        documents = await self._documents(kind)
        dated = sorted(
            (each.loaded.changed_at, key) for key, each in documents.items() if each.loaded.changed_at
        )
        return [documents[key].read() for at, key in dated if (at, key) > (since, after)][:limit]

    async def about(self, kind: str, subjects: Collection[str]) -> list[Loaded]:
        wanted = set(subjects)
        documents = await self._documents(kind)
        named = (key for key in sorted(documents) if any(name in wanted for name in _names(key)))
        return [documents[key].read() for key in named]

    async def journey(self, kind: str, journey: str) -> list[tuple[Loaded, list[Handled]]]:
        found = []
        for key, document in (await self._documents(kind)).items():
            history = [handled for handled in document.handled if journey in (key, handled.journey)]
            if history or key == journey:
                found.append((document.read(), history))
        return found


def _names(key: str) -> list[str]:
    """The key, and each of its prefixes that end before a colon."""
    parts = key.split(":")
    return [":".join(parts[:count]) for count in range(1, len(parts) + 1)]
