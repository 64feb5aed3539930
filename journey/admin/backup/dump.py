"""Backs up the database of one service: all collections at one point in time."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pymongo import AsyncMongoClient
from pymongo import timeout as time_limit

from chassis.store.mongodb_errors import translated_errors
from journey.admin.backup.bson_files import CollectionFiles
from journey.admin.backup.manifest import BackupUnusable, CollectionManifest, Manifest, NothingStored, path_of
from journey.admin.private_files import private_dir

Client = AsyncMongoClient[dict[str, Any]]
OnProgress = Callable[[int], None]
"""Called with the number of documents so far."""

_RESPONSE_S_MAX = 5.0
_TIMEOUT_MS = 60_000  # of one command; a collection is read in many


@asynccontextmanager
async def connected(mongo_url: str) -> AsyncIterator[Client]:
    """Majority writes, journaled. Raises StoreUnavailable or StoreRefused."""
    async with translated_errors():
        client: Client = AsyncMongoClient(
            mongo_url,
            w="majority",
            journal=True,
            readConcernLevel="majority",
            timeoutMS=_TIMEOUT_MS,
        )
        async with client:
            with time_limit(_RESPONSE_S_MAX):  # else an absent server takes the time of a long command
                await client.admin.command("ping")
            yield client


async def dump(
    client: Client, service: str, database: str, *, to: Path, zipped: bool, on_progress: OnProgress
) -> Manifest:
    """Write the backup below the directory `to`.

    All reads are of one snapshot that a majority has stored. The server keeps snapshots for five minutes by
    default (`minSnapshotHistoryWindowInSeconds`); a longer backup fails with StoreUnavailable. Raises
    BackupUnusable if the directory has a backup of this service already, or if the database is empty.
    """
    if path_of(to, service).exists():
        raise BackupUnusable(f"{to} has a backup of {service} already; choose another directory")
    directory = private_dir(private_dir(to) / database)
    hello = await client.admin.command("hello")
    taken_at: datetime = hello["localTime"].replace(tzinfo=UTC)
    server = (await client.server_info())["version"]
    described = [each async for each in await client[database].list_collections()]
    stored = [each for each in described if each["type"] == "collection" and not _is_internal(each["name"])]
    if not stored:
        raise NothingStored(f"the database {database} has no collections: {service} has never run with it")
    found: dict[str, CollectionManifest] = {}
    done = 0
    async with client.start_session(snapshot=True) as session:
        for each in sorted(stored, key=lambda collection: str(collection["name"])):
            name = str(each["name"])
            files = CollectionFiles(directory, name, zipped=zipped)
            collection = client[database][name]
            indexes = [index async for index in await collection.list_indexes()]
            files.write_metadata(each["options"], indexes, each["info"]["uuid"].hex())
            with files.writer() as writer:
                async for batch in raw_batches(collection, session):
                    done += writer.write_batch(batch)
                    on_progress(done)
            found[name] = writer.written
    manifest = Manifest(service, database, taken_at, server=server, gzip=zipped, collections=found)
    manifest.write(to)
    return manifest


async def raw_batches(collection: Any, session: Any = None) -> AsyncIterator[bytes]:
    """All documents of a collection, as the server sends them: several at once, one after another."""
    async for batch in collection.find_raw_batches({}, session=session):
        yield batch


def _is_internal(collection: str) -> bool:
    """Also the leftovers of an interrupted restore, which has another name for each collection."""
    return collection.startswith("system.") or collection.endswith(".restoring")
