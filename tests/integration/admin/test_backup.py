"""Backups of a real MongoDB: one point in time, complete, and loaded without harm."""

import asyncio
import shutil
from collections.abc import AsyncIterator
from itertools import count
from pathlib import Path
from typing import Any

import bson
import pytest

from journey.admin.backup import load as load_
from journey.admin.backup.bson_files import CollectionFiles
from journey.admin.backup.dump import Client, connected, dump
from journey.admin.backup.manifest import BackupUnusable, Manifest
from journey.devenv.infra.model import Infrastructure
from tests.support.infrastructure import fresh_database_prefix

pytestmark = pytest.mark.real

DOCUMENTS, PIECES = 300, 7


@pytest.fixture
async def client(real_infrastructure: Infrastructure) -> AsyncIterator[Client]:
    async with connected(real_infrastructure.mongo_url) as client:
        yield client


@pytest.fixture
async def database(real_infrastructure: Infrastructure) -> AsyncIterator[str]:
    async with fresh_database_prefix(real_infrastructure) as prefix:
        yield f"{prefix}order_svc"


async def filled(client: Client, database: str) -> None:
    for kind in ("orders", "shelves"):
        documents = [{"_id": f"{number:04}", "pieces": PIECES} for number in range(DOCUMENTS)]
        await client[database][kind].insert_many(documents)
    await client[database]["orders"].create_index([("pieces", -1)], sparse=True, name="by pieces")
    await client[database]["orders"].create_index("kept_until", expireAfterSeconds=0)


async def backed_up(client: Client, database: str, to: Path, *, zipped: bool = True) -> Manifest:
    return await dump(client, "order_svc", database, to=to, zipped=zipped, on_progress=lambda done: None)


async def loaded(client: Client, manifest: Manifest, directory: Path, database: str, *without: str) -> None:
    await load_.load(
        client,
        manifest,
        directory=directory,
        database=database,
        without=without,
        on_progress=lambda done: None,
    )


async def content(client: Client, database: str, kind: str) -> list[dict[str, Any]]:
    return await client[database][kind].find({}, sort=[("_id", 1)]).to_list(None)


async def test_a_backup_is_of_one_point_in_time(client: Client, database: str, tmp_path: Path) -> None:
    """Goods move between the collections all the time, in transactions; no piece appears or disappears."""
    await filled(client, database)

    enough = asyncio.Event()

    async def move_until_enough() -> None:
        async with client.start_session() as session:
            for number in count():
                if enough.is_set():
                    break
                at = {"_id": f"{number % DOCUMENTS:04}"}
                async with await session.start_transaction():
                    await client[database]["orders"].update_one(at, {"$inc": {"pieces": -1}}, session=session)
                    await client[database]["shelves"].update_one(at, {"$inc": {"pieces": 1}}, session=session)

    moving = asyncio.create_task(move_until_enough())
    try:
        for attempt in range(10):
            await asyncio.sleep(0.05)
            directory = tmp_path / str(attempt)
            manifest = await backed_up(client, database, directory, zipped=False)
            found = [
                CollectionFiles(directory / database, kind, zipped=False).read()
                for kind in manifest.collections
            ]
            documents = [bson.decode(each) for every in found for each in every]
            assert sum(each["pieces"] for each in documents) == 2 * DOCUMENTS * PIECES
    finally:
        enough.set()
        await moving


async def test_a_restored_database_has_the_documents_and_indexes(
    client: Client, database: str, tmp_path: Path
) -> None:
    await filled(client, database)
    before = await content(client, database, "orders")
    indexes = await client[database]["orders"].index_information()
    manifest = await backed_up(client, database, tmp_path)
    await client[database]["orders"].update_many({}, {"$inc": {"pieces": 1}})
    await client[database]["orders"].delete_one({"_id": "0007"})
    await client[database]["since"].insert_one({"_id": "a collection that was created later"})

    await loaded(client, manifest, tmp_path, database)
    assert await content(client, database, "orders") == before
    assert await client[database]["orders"].index_information() == indexes
    assert sorted(await client[database].list_collection_names()) == ["orders", "shelves"]


async def test_a_backup_is_loaded_into_a_database_of_another_name(
    client: Client, database: str, tmp_path: Path
) -> None:
    await filled(client, database)
    manifest = await backed_up(client, database, tmp_path)
    await loaded(client, manifest, tmp_path, f"{database}_copy", "shelves")
    copy = await content(client, f"{database}_copy", "orders")
    assert copy == await content(client, database, "orders")
    assert await client[f"{database}_copy"].list_collection_names() == ["orders"]


async def test_an_interrupted_restore_changes_nothing_and_can_be_repeated(
    client: Client, database: str, tmp_path: Path
) -> None:
    await filled(client, database)
    manifest = await backed_up(client, database, tmp_path)
    await client[database]["orders"].delete_many({})
    damaged = tmp_path / "damaged"
    shutil.copytree(tmp_path / database, damaged / database)
    other = CollectionFiles(damaged / database, "shelves", zipped=True)
    other.documents.write_bytes(other.documents.read_bytes()[:200])
    with pytest.raises(BackupUnusable):
        await loaded(client, manifest, damaged, database)
    assert await content(client, database, "orders") == []
    assert len(await content(client, database, "shelves")) == DOCUMENTS

    await loaded(client, manifest, tmp_path, database)
    assert len(await content(client, database, "orders")) == DOCUMENTS
    assert not [name for name in await client[database].list_collection_names() if "restoring" in name]


async def test_what_is_loaded_is_compared_with_the_backup(
    client: Client, database: str, tmp_path: Path
) -> None:
    await filled(client, database)
    manifest = await backed_up(client, database, tmp_path, zipped=False)
    path = tmp_path / database / "orders.bson"
    path.write_bytes(path.read_bytes().replace(b"0007", b"000a", 1))
    with pytest.raises(BackupUnusable, match="or their content differs"):
        await loaded(client, manifest, tmp_path, database)


async def test_a_database_with_documents_is_not_replaced_unasked(client: Client, database: str) -> None:
    await load_.require_empty(client, database)
    await client[database].create_collection("orders")
    await load_.require_empty(client, database)
    await filled(client, database)
    with pytest.raises(load_.DatabaseInUse, match=r"is not empty: \w+ has documents"):
        await load_.require_empty(client, database)


async def test_a_service_that_never_ran_has_no_backup(client: Client, database: str, tmp_path: Path) -> None:
    with pytest.raises(BackupUnusable, match="has no collections"):
        await backed_up(client, database, tmp_path)
