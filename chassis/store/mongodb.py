"""The store on MongoDB: one database per service, one collection per kind, one document per aggregate.

Motor's maintenance ends in May 2027; `driver="pymongo"` runs the same code on its successor,
`pymongo.AsyncMongoClient`, and the conformance suite runs on both.
"""

import inspect
from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from pymongo import UpdateOne
from pymongo.errors import BulkWriteError, OperationFailure

from chassis.messaging.envelope import Envelope
from chassis.store.conditions import IndexPath, Where, mongo_query
from chassis.store.mongodb_client import Driver, MongoClient
from chassis.store.mongodb_documents import (
    DATED,
    DUE,
    TIMES,
    dated_from,
    derived_of,
    due_from,
    entries_of,
    handled_from,
    loaded_from,
    write_of,
)
from chassis.store.mongodb_errors import WRITE_CONFLICT_CODES, ConnectionUnusable, only_conflicts
from chassis.store.mongodb_indexes import JOURNEYS, create_indexes
from chassis.store.mongodb_operations import MongoOperations
from chassis.store.protocol import (
    COMPARED_MAX,
    Change,
    Dated,
    DueAggregate,
    Handled,
    Json,
    Loaded,
    StatusCount,
    StoreRefused,
)
from chassis.telemetry import tracing
from chassis.telemetry.semantic_conventions import DB_OPERATION, DB_SYSTEM, MONGODB

Order = Sequence[tuple[str, int]]  # field, 1 or -1
TIMEOUT_MS = 5_000
_FIND: Mapping[str, str] = {DB_SYSTEM: MONGODB, DB_OPERATION: "find"}
_BULK_WRITE: Mapping[str, str] = {DB_SYSTEM: MONGODB, DB_OPERATION: "bulkWrite"}
# The fields to load before a decision: of handled messages, only the ids.
_WITHOUT_EMITTED = {"said": False, "journey": False} | {
    f"unchanged.{name}": False for name in ("type", "at", "from", "to", "says", "journey", *TIMES)
}


class MongoStore:
    """See chassis.store.protocol.Store. Majority reads and writes, journaled."""

    def __init__(
        self,
        url: str | Callable[[], str],
        database: str,
        driver: Driver = "motor",
        timeout_ms: int = TIMEOUT_MS,
        *,
        service: str = "",
    ) -> None:
        """`url`: a function is called again at each `ping`, and after a refused login, so that a new password
        counts from then on. `service`: for the metrics; by default the name of the database.
        """
        self._mongo = MongoClient(url, database, driver, timeout_ms=timeout_ms)
        renew = self._mongo.renew if self._mongo.is_renewable else None
        self._operations = MongoOperations(service or database, renew)

    async def start(self, kinds: Mapping[str, Collection[IndexPath]]) -> None:
        async with self._operations.run("start", *kinds):
            if "setName" not in await self._mongo.client.admin.command("hello"):
                raise StoreRefused(
                    "MongoDB runs standalone, without transactions; start mongod with --replSet rs0"
                    " and run rs.initiate() once (one node is enough)"
                )
            for kind, paths in kinds.items():
                await create_indexes(self._mongo.database[kind], paths)

    async def stop(self) -> None:
        await self._mongo.close()

    async def ping(self) -> datetime | None:
        async with self._operations.run("ping", ""):
            await self._mongo.renew()
            local_time: datetime = (await self._mongo.client.admin.command("hello"))["localTime"]
            return local_time.replace(tzinfo=UTC)  # commands answer without the client's tz_aware

    async def load(self, kind: str, keys: Collection[str]) -> dict[str, Loaded]:
        tracing.describe(_FIND)
        documents = await self._documents("load", kind, {"_id": {"$in": list(keys)}}, fields=_WITHOUT_EMITTED)
        return {key: Loaded(kind, key) for key in keys} | {
            doc["_id"]: loaded_from(kind, doc) for doc in documents
        }

    async def emitted(
        self, kind: str, wanted: Mapping[str, Collection[str]]
    ) -> dict[str, tuple[Envelope, ...]]:
        documents = await self._documents(
            "emitted", kind, {"_id": {"$in": list(wanted)}}, fields={"said": True, "unchanged": True}
        )
        entries = [(doc["_id"], entry) for doc in documents for entry in entries_of(doc)]
        return {
            entry["id"]: handled_from(entry).emits for key, entry in entries if entry["id"] in wanted[key]
        }

    async def save(self, changes: Sequence[Change], *, together: bool = False) -> bool:
        tracing.describe(_BULK_WRITE)
        writes: dict[str, list[Any]] = {}
        for change in changes:
            writes.setdefault(change.loaded.kind, []).append(write_of(change))
        client = self._mongo.client
        try:
            return await self._save(writes, together)
        except ConnectionUnusable:
            self._mongo.replace(client)
            raise

    async def _save(self, writes: Mapping[str, list[Any]], together: bool) -> bool:
        async with self._operations.run("save", *writes):
            if together:
                return await self._save_together(writes)
            return all([await self._save_each(kind, group) for kind, group in writes.items()])

    async def _save_each(self, kind: str, writes: list[Any], session: Any = None) -> bool:
        """In a transaction the first failure aborts all writes; otherwise each write stands alone."""
        try:
            collection = self._mongo.database_of(session)[kind]
            result = await collection.bulk_write(writes, ordered=False, session=session)
        except BulkWriteError as error:
            only_conflicts(error)
            return False
        return bool(result.inserted_count + result.matched_count == len(writes))

    async def _save_together(self, writes: Mapping[str, list[Any]]) -> bool:
        session = await self._mongo.session()
        is_reusable = False
        try:
            await _awaited(session.start_transaction())
            for kind, group in writes.items():
                if not await self._save_each(kind, group, session):
                    return False
            await session.commit_transaction()
            is_reusable = True
            return True
        except OperationFailure as error:
            if error.code in WRITE_CONFLICT_CODES:
                return False
            raise
        finally:
            if is_reusable:
                self._mongo.keep(session)
            else:
                await session.end_session()  # aborts what is not committed

    async def due(self, kind: str, now: datetime, limit: int) -> dict[str, DueAggregate]:
        late = {"deadline_at": {"$lte": now}}
        oldest_first: Order = [("deadline_at", 1)]
        documents = await self._documents("due", kind, late, fields=DUE, order=oldest_first, limit=limit)
        return {document["_id"]: due_from(document) for document in documents}

    async def unpublished(
        self, kind: str, older_than: datetime, limit: int
    ) -> list[tuple[Loaded, list[Envelope]]]:
        marked = {"unpublished_since": {"$lte": older_than}}
        documents = await self._documents(
            "unpublished", kind, marked, order=[("unpublished_since", 1)], limit=limit
        )
        return [
            (
                loaded_from(kind, doc),
                [emitted for entry in entries_of(doc) for emitted in handled_from(entry).emits],
            )
            for doc in documents
        ]

    async def count_unpublished(self, kind: str, limit: int) -> int:
        return await self._count(kind, {"unpublished_since": {"$exists": True}}, limit)

    async def count_in_status(self, kind: str, status: str, limit: int) -> StatusCount:
        query: Json = {"state.status": status}
        dates: Json = {"changed_at": True}
        first: Order = [("_id", 1)]
        found = await self._documents("count", kind, query, fields=dates, order=first, limit=COMPARED_MAX)
        count = len(found) if len(found) < COMPARED_MAX else await self._count(kind, query, limit)
        return StatusCount(
            count, min((doc["changed_at"] for doc in found if "changed_at" in doc), default=None)
        )

    async def _count(self, kind: str, query: Json, limit: int) -> int:
        async with self._operations.run("count", kind):
            return int(await self._mongo.database[kind].count_documents(query, limit=limit))

    async def published(self, kind: str, key: str, version: int, kept_until: datetime | None = None) -> None:
        update: Json = {"$unset": {"unpublished_since": ""}}
        if kept_until is not None:
            update["$set"] = {"kept_until": kept_until}
        async with self._operations.run("published", kind):
            await self._mongo.database[kind].update_one({"_id": key, "version": version}, update)

    async def dated(self, kind: str, *, after: str, limit: int) -> list[Dated]:
        later = {"_id": {"$gt": after}}
        documents = await self._documents("dated", kind, later, fields=DATED, order=[("_id", 1)], limit=limit)
        return [dated_from(document) for document in documents]

    async def keep(self, kind: str, until: Mapping[str, tuple[int, datetime | None]]) -> int:
        writes = [
            UpdateOne(
                {"_id": key, "version": version, "unpublished_since": {"$exists": False}},
                {"$unset": {"kept_until": ""}} if at is None else {"$set": {"kept_until": at}},
            )
            for key, (version, at) in until.items()
        ]
        async with self._operations.run("keep", kind):
            return int((await self._mongo.database[kind].bulk_write(writes, ordered=False)).modified_count)

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
        query = mongo_query(where)
        path = f"state.{by}" if by else "_id"
        if after:
            query = {"$and": [query, {path: {"$lt" if newest_first else "$gt": after}}]}
        order: Order = [(path, -1 if newest_first else 1)]
        found = await self._documents("find", kind, query, fields=_WITHOUT_EMITTED, order=order, limit=limit)
        return [loaded_from(kind, document) for document in found]

    async def count_by(self, kind: str, path: str, where: Where | None = None) -> dict[str, int]:
        grouped = {"_id": f"$state.{path}", "count": {"$sum": 1}}
        async with self._operations.run("count_by", kind):
            pipeline: list[Json] = [{"$match": mongo_query(where)}, {"$group": grouped}]
            cursor = await _awaited(self._mongo.database[kind].aggregate(pipeline))
            return {str(each["_id"]): each["count"] for each in await cursor.to_list(None)}

    async def set_derived(self, kind: str, values: Mapping[str, tuple[int, Mapping[str, str]]]) -> int:
        writes = [derived_of(key, version, fields) for key, (version, fields) in values.items()]
        async with self._operations.run("set_derived", kind):
            return int((await self._mongo.database[kind].bulk_write(writes, ordered=False)).modified_count)

    async def changed(self, kind: str, since: datetime, *, after: str = "", limit: int = 20) -> list[Loaded]:
        later: Json = {"changed_at": {"$gt": since}}
        query = {"$or": [later, {"changed_at": since, "_id": {"$gt": after}}]}
        order: Order = [("changed_at", 1), ("_id", 1)]
        documents = await self._documents(
            "changed", kind, query, fields=_WITHOUT_EMITTED, order=order, limit=limit
        )
        return [loaded_from(kind, document) for document in documents]

    async def about(self, kind: str, subjects: Collection[str]) -> list[Loaded]:
        # Ranges, because regular expressions in an `$in` scan every key of the index. ";" follows ":".
        named = [{"_id": {"$gte": f"{subject}:", "$lt": f"{subject};"}} for subject in subjects]
        query = {"$or": [{"_id": {"$in": list(subjects)}}, *named]}
        documents = await self._documents("about", kind, query, fields=_WITHOUT_EMITTED, order=[("_id", 1)])
        return [loaded_from(kind, doc) for doc in documents]

    async def journey(self, kind: str, journey: str) -> list[tuple[Loaded, list[Handled]]]:
        documents = await self._documents(
            "journey", kind, {"$or": [{path: journey} for path in ("_id", *JOURNEYS)]}
        )
        found = []
        for doc in documents:
            history = [handled_from(entry, doc) for entry in entries_of(doc)]
            found.append(
                (loaded_from(kind, doc), [each for each in history if journey in (doc["_id"], each.journey)])
            )
        return found

    async def _documents(
        self,
        operation: str,
        kind: str,
        query: Json,
        fields: Json | None = None,
        *,
        order: Order | None = None,
        limit: int = 0,
    ) -> list[Json]:
        async with self._operations.run(operation, kind):
            cursor = self._mongo.database[kind].find(query, fields, sort=order, limit=limit)
            documents: list[Json] = await cursor.to_list(None)
            return documents


async def _awaited(called: Any) -> Any:
    """Await the result if it is awaitable: the two drivers differ in which calls are."""
    return await called if inspect.isawaitable(called) else called
