"""Loads a backup into the database of a service that does not run.

Each collection is loaded and verified beside the present one, and then takes its place. So a damaged backup,
or an interruption before that, changes nothing.
"""

from collections.abc import Collection, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

from bson.raw_bson import RawBSONDocument

from journey.admin.backup.bson_files import CollectionFiles
from journey.admin.backup.dump import Client, OnProgress, raw_batches
from journey.admin.backup.manifest import BackupUnusable, Digest, Manifest

RESTORING = ".restoring"
_BATCH = 500


class DatabaseInUse(Exception):
    """The database has documents that a restore would replace."""


def check(manifest: Manifest, directory: Path) -> None:
    """Read the whole backup. Raises BackupUnusable if anything is missing or damaged."""
    for name, expected in manifest.collections.items():
        files = CollectionFiles(directory / manifest.database, name, zipped=manifest.gzip)
        files.read_metadata()
        files.check(expected)


async def require_empty(client: Client, database: str) -> None:
    """Raises DatabaseInUse."""
    for name in await client[database].list_collection_names():
        if not name.startswith("system.") and await client[database][name].find_one({}, {"_id": True}):
            raise DatabaseInUse(f"the database {database} is not empty: {name} has documents")


async def load(
    client: Client,
    manifest: Manifest,
    *,
    directory: Path,
    database: str,
    without: Collection[str],
    on_progress: OnProgress,
) -> None:
    """Replace the collections of `database`, also those that the backup does not have.

    `without`: collections that end up empty. Raises BackupUnusable if the database does not hold what the
    backup has; then the present collections are unchanged.
    """
    done = 0
    wanted = [name for name in manifest.collections if name not in without]
    for name in wanted:
        files = CollectionFiles(directory / manifest.database, name, zipped=manifest.gzip)
        beside = client[database][name + RESTORING]
        await beside.drop()
        await client[database].create_collection(name + RESTORING, **_options(files))
        documents = files.read()
        while batch := _next_batch(documents):
            await beside.insert_many(batch, ordered=False)
            done += len(batch)
            on_progress(done)
        await _verify(client, manifest, database, name)
        if indexes := [_index(each) for each in files.read_metadata()["indexes"] if each["name"] != "_id_"]:
            await client[database].command("createIndexes", name + RESTORING, indexes=indexes)
    for name in wanted:
        await client[database][name + RESTORING].rename(name, dropTarget=True)
    for name in await client[database].list_collection_names():
        if name not in wanted and not name.startswith("system."):
            await client[database][name].drop()


async def _verify(client: Client, manifest: Manifest, database: str, name: str) -> None:
    digest = Digest()
    async for batch in raw_batches(client[database][name + RESTORING]):
        digest.add_batch(batch)
    expected = manifest.collections[name]
    if (digest.documents, str(digest)) != (expected.documents, expected.digest):
        raise BackupUnusable(
            f"{database}.{name} has {digest.documents} documents after loading, the backup "
            f"{expected.documents}, or their content differs"
        )


def _next_batch(documents: Iterator[bytes]) -> list[RawBSONDocument]:
    return [RawBSONDocument(document) for document in islice(documents, _BATCH)]


def _options(files: CollectionFiles) -> dict[str, Any]:
    options: dict[str, Any] = files.read_metadata()["options"]
    return options


def _index(described: dict[str, Any]) -> dict[str, Any]:
    """An index as `createIndexes` takes it. Servers before 4.4 also describe its namespace."""
    return {name: value for name, value in described.items() if name != "ns"}
