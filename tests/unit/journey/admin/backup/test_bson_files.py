"""The files of a backup are those of mongodump, and damage is noticed."""

import gzip
import json
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import bson
import pytest

from journey.admin.backup.bson_files import CollectionFiles
from journey.admin.backup.load import check
from journey.admin.backup.manifest import BackupUnusable, Manifest

DOCUMENTS = [{"_id": f"order {number}", "state": {"lines": list(range(number))}} for number in range(50)]
TAKEN_AT = datetime(2026, 1, 31, 12, tzinfo=UTC)


def written(directory: Path, *, zipped: bool = True) -> Manifest:
    files = CollectionFiles(directory / "order_svc", "orders", zipped=zipped)
    files.documents.parent.mkdir(exist_ok=True)
    with files.writer() as writer:
        for half in (DOCUMENTS[:20], DOCUMENTS[20:]):
            writer.write_batch(b"".join(map(bson.encode, half)))
    files.write_metadata({}, [{"v": 2, "key": {"_id": 1}, "name": "_id_"}], "0" * 32)
    manifest = Manifest(
        "order_svc", "order_svc", TAKEN_AT, server="7", gzip=zipped, collections={"orders": writer.written}
    )
    manifest.write(directory)
    return manifest


def test_the_documents_are_one_after_another_as_mongorestore_reads_them(tmp_path: Path) -> None:
    written(tmp_path)
    content = gzip.decompress((tmp_path / "order_svc" / "orders.bson.gz").read_bytes())
    assert bson.decode_all(content) == DOCUMENTS
    described = json.loads(gzip.decompress((tmp_path / "order_svc" / "orders.metadata.json.gz").read_bytes()))
    assert described["collectionName"] == "orders" and described["type"] == "collection"
    assert described["indexes"] == [
        {"v": {"$numberInt": "2"}, "key": {"_id": {"$numberInt": "1"}}, "name": "_id_"}
    ]


@pytest.mark.parametrize("zipped", [True, False])
def test_a_backup_is_read_back(tmp_path: Path, zipped: bool) -> None:
    manifest = written(tmp_path, zipped=zipped)
    assert Manifest.read(tmp_path, "order_svc") == manifest
    assert manifest.documents == 50
    check(manifest, tmp_path)
    [suffix] = {path.suffix for path in (tmp_path / "order_svc").glob("orders.bson*")}
    assert suffix == (".gz" if zipped else ".bson")


def test_a_changed_document_is_noticed(tmp_path: Path) -> None:
    manifest = written(tmp_path, zipped=False)
    path = tmp_path / "order_svc" / "orders.bson"
    path.write_bytes(path.read_bytes().replace(b"order 7", b"order 8", 1))
    with pytest.raises(BackupUnusable, match=r"orders\.bson has 50 documents.*the manifest says"):
        check(manifest, tmp_path)


@pytest.mark.parametrize("kept", [-1, -300, 2])
@pytest.mark.parametrize("zipped", [True, False])
def test_a_file_that_ends_early_is_noticed(tmp_path: Path, kept: int, zipped: bool) -> None:
    manifest = written(tmp_path, zipped=zipped)
    [path] = (tmp_path / "order_svc").glob("orders.bson*")
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(BackupUnusable, match=r"orders\.bson"):
        check(manifest, tmp_path)


def test_a_missing_document_is_noticed(tmp_path: Path) -> None:
    manifest = written(tmp_path)
    files = replace(manifest.collections["orders"], documents=51)
    with pytest.raises(BackupUnusable):
        check(replace(manifest, collections={"orders": files}), tmp_path)


def test_a_backup_without_its_manifest_is_incomplete(tmp_path: Path) -> None:
    written(tmp_path)
    (tmp_path / "order_svc.manifest.json").unlink()
    with pytest.raises(BackupUnusable, match="no complete backup of order_svc"):
        Manifest.read(tmp_path, "order_svc")


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"format": 2, "service": "order_svc"}'])
def test_a_manifest_that_cannot_be_read_is_named(tmp_path: Path, text: str) -> None:
    (tmp_path / "order_svc.manifest.json").write_text(text)
    with pytest.raises(BackupUnusable, match=r"order_svc\.manifest\.json"):
        Manifest.read(tmp_path, "order_svc")


def test_only_the_owner_can_read_a_backup(tmp_path: Path) -> None:
    written(tmp_path)
    assert (tmp_path / "order_svc.manifest.json").stat().st_mode & 0o077 == 0
