"""The store on MongoDB: one database per service, one collection per kind, one document per aggregate.

The only file that knows motor. Motor's maintenance ends in May 2027; `driver="pymongo"` runs the same code on its
successor, `pymongo.AsyncMongoClient`, and the conformance suite runs on both.
"""

import inspect
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any, Literal

from pymongo import AsyncMongoClient, InsertOne, UpdateOne
from pymongo.errors import BulkWriteError, ConnectionFailure, OperationFailure, PyMongoError
from pymongo.read_concern import ReadConcern
from pymongo.write_concern import WriteConcern

from chassis.store import Change, Handled, Json, Loaded, StoreRefused, StoreUnavailable
from contracts.envelope import Envelope

Driver = Literal["motor", "pymongo"]
_DUPLICATE_KEY = 11000
_WITHOUT_WORDS = {"said": False, "journey": False}


class MongoStore:
    """See chassis.store.Store."""

    def __init__(self, url: str, database: str, driver: Driver = "motor") -> None:
        self._client = _client(url, driver)
        self._database = self._client.get_database(
            database, write_concern=WriteConcern("majority", j=True), read_concern=ReadConcern("majority")
        )

    async def start(self, kinds: Mapping[str, Collection[str]]) -> None:
        async with _errors():
            hello = await self._client.admin.command("hello")
            if "setName" not in hello:
                raise StoreRefused(
                    "MongoDB runs standalone, without transactions; start mongod with --replSet rs0"
                    " and run rs.initiate() once (one node is enough)"
                )
            for kind, paths in kinds.items():
                collection = self._database[kind]
                await collection.create_index("journey", partialFilterExpression={"journey": {"$gt": ""}})
                for mark in ("deadline_at", "unpublished_since"):
                    await collection.create_index(mark, partialFilterExpression={mark: {"$type": "date"}})
                for path in paths:
                    await collection.create_index([(f"state.{path}", 1), ("_id", 1)])

    async def stop(self) -> None:
        closing = self._client.close()
        if inspect.isawaitable(closing):
            await closing

    async def ping(self) -> None:
        async with _errors():
            await self._client.admin.command("ping")

    async def load(self, kind: str, keys: Collection[str]) -> dict[str, Loaded]:
        async with _errors():
            cursor = self._database[kind].find({"_id": {"$in": list(keys)}}, _WITHOUT_WORDS)
            found = {document["_id"]: _loaded(kind, document) for document in await cursor.to_list(None)}
        return {key: found.get(key) or Loaded(kind, key) for key in keys}

    async def said(self, kind: str, wanted: Mapping[str, Collection[str]]) -> dict[str, tuple[Envelope, ...]]:
        async with _errors():
            cursor = self._database[kind].find({"_id": {"$in": list(wanted)}}, {"said": True})
            documents = await cursor.to_list(None)
        entries = [(doc["_id"], entry) for doc in documents for entry in doc["said"]]
        return {entry["id"]: _handled(entry).says for key, entry in entries if entry["id"] in wanted[key]}

    async def save(self, changes: Sequence[Change], *, together: bool = False) -> bool:
        writes: dict[str, list[Any]] = {}
        for change in changes:
            writes.setdefault(change.loaded.kind, []).append(_write(change))
        async with _errors():
            if together:
                return await self._save_together(writes)
            written = [await self._save_each(kind, group) for kind, group in writes.items()]
        return all(written)

    async def _save_each(self, kind: str, writes: list[Any]) -> bool:
        try:
            result = await self._database[kind].bulk_write(writes, ordered=False)
        except BulkWriteError as error:
            _only_conflicts(error)
            return False
        return bool(result.inserted_count + result.matched_count == len(writes))

    async def _save_together(self, writes: Mapping[str, list[Any]]) -> bool:
        session = await self._client.start_session()
        try:
            session.start_transaction() if not inspect.iscoroutinefunction(session.start_transaction) else (
                await session.start_transaction()
            )
            for kind, group in writes.items():
                result = await self._database[kind].bulk_write(group, ordered=True, session=session)
                if result.inserted_count + result.matched_count != len(group):
                    await session.abort_transaction()
                    return False
            await session.commit_transaction()
        except BulkWriteError as error:
            _only_conflicts(error)
            return False
        except PyMongoError as error:
            if error.has_error_label("TransientTransactionError"):
                return False
            raise
        finally:
            await session.end_session()  # aborts what is not committed
        return True

    async def due(self, kind: str, now: datetime, limit: int) -> list[str]:
        async with _errors():
            cursor = self._database[kind].find({"deadline_at": {"$lte": now}}, {"_id": True})
            return [document["_id"] for document in await cursor.sort("deadline_at").limit(limit).to_list(None)]

    async def unpublished(self, kind: str, older_than: datetime, limit: int) -> list[tuple[Loaded, list[Envelope]]]:
        async with _errors():
            cursor = self._database[kind].find({"unpublished_since": {"$lte": older_than}})
            documents = await cursor.sort("unpublished_since").limit(limit).to_list(None)
        return [
            (_loaded(kind, doc), [said for entry in doc["said"] for said in _handled(entry).says]) for doc in documents
        ]

    async def published(self, kind: str, key: str, version: int) -> None:
        async with _errors():
            await self._database[kind].update_one(
                {"_id": key, "version": version}, {"$unset": {"unpublished_since": ""}}
            )

    async def find(
        self,
        kind: str,
        where: Mapping[str, Any] | None = None,
        *,
        after: str = "",
        limit: int = 20,
        newest_first: bool = False,
    ) -> list[Loaded]:
        query: dict[str, Any] = {
            f"state.{path}": {"$all": value} if isinstance(value, list) else {"$eq": value}
            for path, value in (where or {}).items()
        }
        if after:
            query["_id"] = {"$lt" if newest_first else "$gt": after}
        async with _errors():
            cursor = self._database[kind].find(query, _WITHOUT_WORDS)
            documents = await cursor.sort("_id", -1 if newest_first else 1).limit(limit).to_list(None)
        return [_loaded(kind, document) for document in documents]

    async def journey(self, kind: str, journey: str) -> list[tuple[Loaded, list[Handled]]]:
        async with _errors():
            documents = await self._database[kind].find({"journey": journey}).to_list(None)
        return [(_loaded(kind, doc), [_handled(entry) for entry in doc["said"]]) for doc in documents]


def _client(url: str, driver: Driver) -> Any:
    limits: dict[str, Any] = {
        "timeoutMS": 5_000,
        "serverSelectionTimeoutMS": 3_000,
        "connectTimeoutMS": 2_000,
        "waitQueueTimeoutMS": 2_000,
        "tz_aware": True,
    }
    if driver == "pymongo":
        return AsyncMongoClient(url, **limits)
    from motor.motor_asyncio import AsyncIOMotorClient

    return AsyncIOMotorClient(url, **limits)


@asynccontextmanager
async def _errors() -> AsyncIterator[None]:
    """Unknown outcomes become StoreUnavailable, final ones StoreRefused."""
    try:
        yield
    except PyMongoError as error:
        retryable = error.has_error_label("RetryableWriteError") or error.has_error_label(
            "UnknownTransactionCommitResult"
        )
        if isinstance(error, ConnectionFailure) or error.timeout or retryable:
            raise StoreUnavailable(str(error)[:300]) from error
        if isinstance(error, OperationFailure) and error.code in _PASSING:
            raise StoreUnavailable(f"{error.code}: {str(error)[:300]}") from error
        raise StoreRefused(str(error)[:300]) from error


# Server codes that pass by themselves: host unreachable, network timeout, shutdown in progress, stepdown, recovering,
# exceeded time limit, write concern, snapshot unavailable, write conflict (manual: "Error Codes").
_PASSING = {6, 7, 50, 64, 89, 91, 112, 134, 189, 246, 262, 9001, 10107, 11600, 11602, 13435, 13436}


def _only_conflicts(error: BulkWriteError) -> None:
    details = error.details or {}
    if details.get("writeConcernErrors"):
        raise StoreUnavailable("the majority did not confirm the write in time") from error
    others = [e for e in details.get("writeErrors", []) if e["code"] not in (_DUPLICATE_KEY, 112)]
    if others and any(e["code"] in _PASSING for e in others):
        raise StoreUnavailable(str(others[0].get("errmsg", ""))[:300]) from error
    if others:
        raise StoreRefused(str(others[0].get("errmsg", ""))[:300]) from error


def _loaded(kind: str, document: Json) -> Loaded:
    return Loaded(
        kind,
        document["_id"],
        document["version"],
        document["state"],
        frozenset(document.get("handled", ())),
        document.get("deadline_at"),
    )


def _handled(entry: Json) -> Handled:
    says = tuple(Envelope.from_document(message) for message in entry["says"])
    return Handled(entry["id"], entry["type"], entry["at"], (entry["from"], entry["to"]), says)


def _write(change: Change) -> Any:
    loaded = change.loaded
    ids = [handled.message_id for handled in change.handled]
    said = [
        {
            "id": handled.message_id,
            "type": handled.type,
            "at": handled.at,
            "from": handled.status[0],
            "to": handled.status[1],
            "says": [envelope.document() for envelope in handled.says],
        }
        for handled in change.handled
    ]
    marks = {
        "deadline_at": change.deadline_at,
        "unpublished_since": change.handled[-1].at if change.unpublished else None,
    }
    present = {mark: value for mark, value in marks.items() if value is not None}
    values: Json = {"version": loaded.version + 1, "state": change.state, **present}
    if loaded.version == 0:
        document = {"_id": loaded.key, "journey": change.journey, "handled": ids, "said": said, **values}
        return InsertOne(document)
    update: Json = {"$set": values}
    if absent := {mark: "" for mark in ("deadline_at",) if mark not in present}:
        update["$unset"] = absent
    if ids:
        keep = {} if change.handled_max is None else {"$slice": -change.handled_max}
        update["$push"] = {"handled": {"$each": ids, **keep}, "said": {"$each": said, **keep}}
    return UpdateOne({"_id": loaded.key, "version": loaded.version}, update)
