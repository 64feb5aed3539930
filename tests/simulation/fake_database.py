"""A service's database: it survives every crash, responds late or never, and can roll back a write."""

import asyncio
from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import datetime
from typing import Any

from chassis.bus.memory import MemoryStore
from chassis.messaging.envelope import Envelope
from chassis.store.conditions import IndexPath, Where
from chassis.store.protocol import Change, Dated, DueAggregate, Loaded, StatusCount, StoreUnavailable
from tests.simulation.faults import Kind, Moment

ROLLED_BACK_AFTER_S = 0.4
_Key = tuple[str, str]


class Disk(MemoryStore):
    """The stored data. `saved` is called for every change that is final."""

    def __init__(self) -> None:
        super().__init__()
        self.saved: Callable[[Change], None] = lambda change: None
        self._doubtful: dict[_Key, Any] = {}  # written by a primary about to step down: the documents before

    def _version(self, loaded: Loaded) -> int:
        """Checked when writing, as in a database: a confirmed write is never rolled back."""
        if (loaded.kind, loaded.key) in self._doubtful:
            raise StoreUnavailable("there is no primary")
        return super()._version(loaded)

    def _write(self, change: Change) -> None:
        super()._write(change)
        self.saved(change)

    def _document(self, fault_point: _Key) -> Any:
        return self._kinds.setdefault(fault_point[0], {}).get(fault_point[1])

    async def save_in_doubt(self, changes: Sequence[Change], *, together: bool) -> None:
        """Write on a primary that has lost its majority: visible there for a moment, then rolled back."""
        await self.ping()
        current = [change for change in changes if self._version(change.loaded) == change.loaded.version]
        if len(current) < len(changes) and together:
            return
        fault_points = [(change.loaded.kind, change.loaded.key) for change in current]
        self._doubtful |= {fault_point: self._document(fault_point) for fault_point in fault_points}
        for change in current:
            super()._write(change)
        asyncio.get_running_loop().call_later(ROLLED_BACK_AFTER_S, self._roll_back, fault_points)

    def _roll_back(self, fault_points: Sequence[_Key]) -> None:
        for kind, key in fault_points:
            document = self._doubtful.pop((kind, key))
            if document is None:
                self._kinds[kind].pop(key, None)
            else:
                self._kinds[kind][key] = document

    async def load(self, kind: str, keys: Collection[str]) -> dict[str, Loaded]:
        """A majority read, which ignores writes in doubt."""
        found = await self.load_locally(kind, keys)
        for key in keys:
            if (kind, key) in self._doubtful:
                document = self._doubtful[kind, key]
                found[key] = Loaded(kind, key) if document is None else document.read()
        return found

    async def load_locally(self, kind: str, keys: Collection[str]) -> dict[str, Loaded]:
        """A local read: includes writes that may be rolled back."""
        return await super().load(kind, sorted(keys))

    def everything(self) -> dict[str, dict[str, Any]]:
        """Kind -> key -> state, at rest."""
        return {
            kind: {key: document.loaded.state for key, document in documents.items()}
            for kind, documents in self._kinds.items()
        }

    def documents(self) -> list[Any]:
        return [document for documents in self._kinds.values() for document in documents.values()]


class Cable:
    """See chassis.store.protocol.Store: one instance's connection to its database."""

    def __init__(self, disk: Disk, host: Any, name: Callable[[str], str]) -> None:
        self._disk = disk
        self._host = host
        self._name = name

    async def start(self, kinds: Mapping[str, Collection[IndexPath]]) -> None:
        await self._disk.start(kinds)

    async def stop(self) -> None:
        """The database keeps running."""

    async def ping(self) -> None:
        await self._disk.ping()

    async def load(self, kind: str, keys: Collection[str]) -> dict[str, Loaded]:
        fault = await self._host.reaches(Moment.LOAD, f"{kind} {self._names(keys)}")
        if fault is Kind.AWAY_NOT_DONE:
            raise StoreUnavailable("no answer")
        found = await self._disk.load(kind, sorted(keys))
        await self._host.leaves(fault)
        return found

    async def emitted(
        self, kind: str, wanted: Mapping[str, Collection[str]]
    ) -> dict[str, tuple[Envelope, ...]]:
        await self._host.alive()
        return await self._disk.emitted(kind, wanted)

    async def save(self, changes: Sequence[Change], *, together: bool = False) -> bool:
        await self._host.survives(change.loaded.key for change in changes)
        what = " + ".join(self._describe(change) for change in changes)
        fault = await self._host.reaches(Moment.SAVE, what)
        match fault:
            case Kind.AWAY_NOT_DONE:
                raise StoreUnavailable("no answer")
            case Kind.UNKNOWN_NOT_DONE:
                return False
            case Kind.ROLLED_BACK:
                await self._disk.save_in_doubt(changes, together=together)
                raise StoreUnavailable("no answer")
        done = await self._disk.save(changes, together=together)
        await self._host.leaves(fault)
        if fault is Kind.AWAY_DONE:
            raise StoreUnavailable("no answer")
        return done and fault is not Kind.UNKNOWN_DONE

    async def due(self, kind: str, now: datetime, limit: int) -> dict[str, DueAggregate]:
        await self._host.alive()
        return await self._disk.due(kind, now, limit)

    async def unpublished(
        self, kind: str, older_than: datetime, limit: int
    ) -> list[tuple[Loaded, list[Envelope]]]:
        await self._host.alive()
        return await self._disk.unpublished(kind, older_than, limit)

    async def count_unpublished(self, kind: str, limit: int) -> int:
        return await self._disk.count_unpublished(kind, limit)

    async def count_in_status(self, kind: str, status: str, limit: int) -> StatusCount:
        return await self._disk.count_in_status(kind, status, limit)

    async def published(self, kind: str, key: str, version: int, kept_until: datetime | None = None) -> None:
        await self._host.alive()
        await self._disk.published(kind, key, version, kept_until)

    async def dated(self, kind: str, *, after: str, limit: int) -> list[Dated]:
        await self._host.alive()
        return await self._disk.dated(kind, after=after, limit=limit)

    async def keep(self, kind: str, until: Mapping[str, tuple[int, datetime | None]]) -> int:
        await self._host.alive()
        return await self._disk.keep(kind, until)

    async def find(self, kind: str, where: Where | None = None, **page: Any) -> list[Loaded]:
        return await self._disk.find(kind, where, **page)

    async def count_by(self, kind: str, path: str, where: Where | None = None) -> dict[str, int]:
        return await self._disk.count_by(kind, path, where)

    async def set_derived(self, kind: str, values: Mapping[str, tuple[int, Mapping[str, str]]]) -> int:
        await self._host.alive()
        return await self._disk.set_derived(kind, values)

    async def changed(self, kind: str, since: datetime, **page: Any) -> list[Loaded]:
        return await self._disk.changed(kind, since, **page)

    async def about(self, kind: str, subjects: Collection[str]) -> list[Loaded]:
        return await self._disk.about(kind, subjects)

    async def journey(self, kind: str, journey: str) -> Any:
        return await self._disk.journey(kind, journey)

    def _names(self, keys: Collection[str]) -> str:
        return ", ".join(self._name(key) for key in sorted(keys))

    def _describe(self, change: Change) -> str:
        handled_type = ", ".join(handled.type for handled in change.handled)
        return f"{change.loaded.kind} {self._name(change.loaded.key)}" + (
            f" after {handled_type}" if handled_type else ""
        )
