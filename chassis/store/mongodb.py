"""The store on MongoDB: one database per service, one collection per kind, one document per aggregate.

The only file that uses motor. Motor's maintenance ends in May 2027; `driver="pymongo"` runs the same code on
its successor, `pymongo.AsyncMongoClient`, and the conformance suite runs on both.
"""

import asyncio
import inspect
from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Literal

from motor.motor_asyncio import AsyncIOMotorClient
from pymongo import AsyncMongoClient, IndexModel, UpdateOne
from pymongo import timeout as time_limit
from pymongo.errors import BulkWriteError, OperationFailure

from chassis.messaging.envelope import Envelope
from chassis.store.mongodb_documents import (
    condition_of,
    dated_from,
    entries_of,
    handled_from,
    loaded_from,
    write_of,
)
from chassis.store.mongodb_errors import FASTER, only_conflicts, translated_errors
from chassis.store.protocol import Change, Dated, Handled, Json, Loaded, StoreRefused, Where

Driver = Literal["motor", "pymongo"]
Order = Sequence[tuple[str, int]]  # field, 1 or -1
TIMEOUT_MS = 5_000
# The fields that hold a document's journeys; the last one is from earlier versions.
_JOURNEYS = ("said.journey", "unchanged.journey", "journey")
_OTHER_INDEX = (85, 86)  # the server's IndexOptionsConflict and IndexKeySpecsConflict
_INDEXED_S_MAX = 1_800  # a new version may build an index over all existing documents
_DATED = {"changed_at": {"$exists": True}}
# The fields to load before a decision: of handled messages, only the ids.
_WITHOUT_EMITTED = {"said": False, "journey": False} | {
    f"unchanged.{name}": False for name in ("type", "at", "from", "to", "says", "journey")
}

_OF_RETENTION = dict.fromkeys(
    (
        "version",
        "state",
        "changed_at",
        "kept_until",
        "deadline_at",
        "unpublished_since",
        "said.at",
        "unchanged.at",
    ),
    True,
)


class MongoStore:
    """See chassis.store.protocol.Store. Majority reads and writes, journaled."""

    def __init__(
        self, url: str, database: str, driver: Driver = "motor", timeout_ms: int = TIMEOUT_MS
    ) -> None:
        client: Any = AsyncIOMotorClient if driver == "motor" else AsyncMongoClient
        self._client = client(
            url,
            w="majority",
            journal=True,
            readConcernLevel="majority",
            tz_aware=True,
            timeoutMS=timeout_ms,
            serverSelectionTimeoutMS=3_000,
            connectTimeoutMS=2_000,
            waitQueueTimeoutMS=2_000,
        )
        self._database = self._client.get_database(database)
        self._sessions: list[Any] = []

    async def start(self, kinds: Mapping[str, Collection[str]]) -> None:
        async with translated_errors():
            if "setName" not in await self._client.admin.command("hello"):
                raise StoreRefused(
                    "MongoDB runs standalone, without transactions; start mongod with --replSet rs0"
                    " and run rs.initiate() once (one node is enough)"
                )
            for kind, paths in kinds.items():
                marks = [IndexModel(mark, sparse=True) for mark in ("deadline_at", "unpublished_since")]
                # the server deletes
                marks.append(IndexModel("kept_until", sparse=True, expireAfterSeconds=0))
                marks.append(IndexModel([("changed_at", 1), ("_id", 1)], partialFilterExpression=_DATED))
                looked_up = [IndexModel([(f"state.{path}", 1), ("_id", 1)]) for path in paths]
                journeys = [IndexModel(path, sparse=True) for path in _JOURNEYS]
                await _index(self._database[kind], [*journeys, *marks, *looked_up])

    async def stop(self) -> None:
        close = self._client.close
        # Motor ends its sessions on the server before it returns, which would block the event loop.
        await (close() if inspect.iscoroutinefunction(close) else asyncio.to_thread(close))

    async def ping(self) -> datetime | None:
        async with translated_errors():
            local_time: datetime = (await self._client.admin.command("hello"))["localTime"]
            return local_time.replace(tzinfo=UTC)  # commands answer without the client's tz_aware

    async def load(self, kind: str, keys: Collection[str]) -> dict[str, Loaded]:
        documents = await self._documents(kind, {"_id": {"$in": list(keys)}}, _WITHOUT_EMITTED)
        return {key: Loaded(kind, key) for key in keys} | {
            doc["_id"]: loaded_from(kind, doc) for doc in documents
        }

    async def emitted(
        self, kind: str, wanted: Mapping[str, Collection[str]]
    ) -> dict[str, tuple[Envelope, ...]]:
        documents = await self._documents(
            kind, {"_id": {"$in": list(wanted)}}, {"said": True, "unchanged": True}
        )
        entries = [(doc["_id"], entry) for doc in documents for entry in entries_of(doc)]
        return {
            entry["id"]: handled_from(entry).emits for key, entry in entries if entry["id"] in wanted[key]
        }

    async def save(self, changes: Sequence[Change], *, together: bool = False) -> bool:
        writes: dict[str, list[Any]] = {}
        for change in changes:
            writes.setdefault(change.loaded.kind, []).append(write_of(change))
        async with translated_errors():
            if together:
                return await self._save_together(writes)
            return all([await self._save_each(kind, group) for kind, group in writes.items()])

    async def _save_each(self, kind: str, writes: list[Any], session: Any = None) -> bool:
        """In a transaction the first failure aborts all writes; otherwise each write stands alone."""
        try:
            result = await self._database[kind].bulk_write(writes, ordered=False, session=session)
        except BulkWriteError as error:
            only_conflicts(error)
            return False
        return bool(result.inserted_count + result.matched_count == len(writes))

    async def _save_together(self, writes: Mapping[str, list[Any]]) -> bool:
        session = self._sessions.pop() if self._sessions else await _awaited(self._client.start_session())
        try:
            await _awaited(session.start_transaction())
            for kind, group in writes.items():
                if not await self._save_each(kind, group, session):
                    return False
            await session.commit_transaction()
            self._sessions.append(session)  # reused: starting and ending a session costs a thread each
            return True
        except OperationFailure as error:
            if error.code in FASTER:
                return False
            raise
        finally:
            if session not in self._sessions:
                await session.end_session()  # aborts what is not committed

    async def due(self, kind: str, now: datetime, limit: int) -> dict[str, datetime]:
        late = {"deadline_at": {"$lte": now}}
        oldest_first: Order = [("deadline_at", 1)]
        documents = await self._documents(kind, late, {"deadline_at": True}, order=oldest_first, limit=limit)
        return {doc["_id"]: doc["deadline_at"] for doc in documents}

    async def unpublished(
        self, kind: str, older_than: datetime, limit: int
    ) -> list[tuple[Loaded, list[Envelope]]]:
        marked = {"unpublished_since": {"$lte": older_than}}
        documents = await self._documents(kind, marked, order=[("unpublished_since", 1)], limit=limit)
        return [
            (
                loaded_from(kind, doc),
                [emitted for entry in entries_of(doc) for emitted in handled_from(entry).emits],
            )
            for doc in documents
        ]

    async def published(self, kind: str, key: str, version: int, kept_until: datetime | None = None) -> None:
        update: Json = {"$unset": {"unpublished_since": ""}}
        if kept_until is not None:
            update["$set"] = {"kept_until": kept_until}
        async with translated_errors():
            await self._database[kind].update_one({"_id": key, "version": version}, update)

    async def dated(self, kind: str, *, after: str, limit: int) -> list[Dated]:
        later = {"_id": {"$gt": after}}
        documents = await self._documents(kind, later, _OF_RETENTION, order=[("_id", 1)], limit=limit)
        return [dated_from(document) for document in documents]

    async def keep(self, kind: str, until: Mapping[str, tuple[int, datetime | None]]) -> int:
        writes = [
            UpdateOne(
                {"_id": key, "version": version, "unpublished_since": {"$exists": False}},
                {"$unset": {"kept_until": ""}} if at is None else {"$set": {"kept_until": at}},
            )
            for key, (version, at) in until.items()
        ]
        async with translated_errors():
            return int((await self._database[kind].bulk_write(writes, ordered=False)).modified_count)

    async def find(
        self,
        kind: str,
        where: Where | None = None,
        *,
        after: str = "",
        limit: int = 20,
        newest_first: bool = False,
    ) -> list[Loaded]:
        query: Json = {f"state.{path}": condition_of(value) for path, value in (where or {}).items()}
        if after:
            query["_id"] = {"$lt" if newest_first else "$gt": after}
        order: Order = [("_id", -1 if newest_first else 1)]
        documents = await self._documents(kind, query, _WITHOUT_EMITTED, order=order, limit=limit)
        return [loaded_from(kind, document) for document in documents]

    async def changed(self, kind: str, since: datetime, *, after: str = "", limit: int = 20) -> list[Loaded]:
        later: Json = {"changed_at": {"$gt": since}}
        query = {"$or": [later, {"changed_at": since, "_id": {"$gt": after}}]}
        order: Order = [("changed_at", 1), ("_id", 1)]
        documents = await self._documents(kind, query, _WITHOUT_EMITTED, order=order, limit=limit)
        return [loaded_from(kind, document) for document in documents]

    async def about(self, kind: str, subjects: Collection[str]) -> list[Loaded]:
        # Ranges, because regular expressions in an `$in` scan every key of the index. ";" follows ":".
        named = [{"_id": {"$gte": f"{subject}:", "$lt": f"{subject};"}} for subject in subjects]
        query = {"$or": [{"_id": {"$in": list(subjects)}}, *named]}
        documents = await self._documents(kind, query, _WITHOUT_EMITTED, order=[("_id", 1)])
        return [loaded_from(kind, doc) for doc in documents]

    async def journey(self, kind: str, journey: str) -> list[tuple[Loaded, list[Handled]]]:
        documents = await self._documents(kind, {"$or": [{path: journey} for path in ("_id", *_JOURNEYS)]})
        found = []
        for doc in documents:
            history = [handled_from(entry, doc) for entry in entries_of(doc)]
            found.append(
                (loaded_from(kind, doc), [each for each in history if journey in (doc["_id"], each.journey)])
            )
        return found

    async def _documents(
        self,
        kind: str,
        query: Json,
        fields: Json | None = None,
        *,
        order: Order | None = None,
        limit: int = 0,
    ) -> list[Json]:
        async with translated_errors():
            cursor = self._database[kind].find(query, fields, sort=order, limit=limit)
            documents: list[Json] = await cursor.to_list(None)
            return documents


async def _awaited(called: Any) -> Any:
    """Await the result if it is awaitable: the two drivers differ in which calls are."""
    return await called if inspect.isawaitable(called) else called


async def _index(collection: Any, wanted: list[IndexModel]) -> None:
    """Create the indexes; if an earlier version created them differently, drop and recreate all.

    The time limit is longer than that of an ordinary call, which would abort the build for a large
    collection.
    """
    with time_limit(_INDEXED_S_MAX):
        try:
            await collection.create_indexes(wanted)
        except OperationFailure as error:
            if error.code not in _OTHER_INDEX:
                raise
            await collection.drop_indexes()
            await collection.create_indexes(wanted)
