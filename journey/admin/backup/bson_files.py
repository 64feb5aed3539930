"""The files of one collection, as mongodump writes them and mongorestore reads them.

`<database>/<collection>.bson` has the documents, one after another; `<collection>.metadata.json` has the
options and indexes in canonical Extended JSON. With gzip both have the suffix `.gz`. See the MongoDB Database
Tools manual, "mongodump: Output Files".
"""

import gzip
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from typing import IO, Any, cast

from bson import json_util

from journey.admin.backup.manifest import BackupUnusable, CollectionManifest, Digest

_LENGTH_BYTES = 4
_DOCUMENT_BYTES_MIN, _DOCUMENT_BYTES_MAX = 5, 17 * 2**20  # 16 MiB and some kilobytes of the server's own
_GZIP_LEVEL = 6


class CollectionFiles:
    """The two files of a collection in a backup. `directory`: that of the database."""

    def __init__(self, directory: Path, collection: str, *, zipped: bool) -> None:
        suffix = ".gz" if zipped else ""
        self._zipped = zipped
        self.collection = collection
        self.documents = directory / f"{collection}.bson{suffix}"
        self.metadata = directory / f"{collection}.metadata.json{suffix}"

    def write_metadata(self, options: Any, indexes: Sequence[Any], uuid: str) -> None:
        described = {
            "options": options,
            "indexes": list(indexes),
            "uuid": uuid,
            "collectionName": self.collection,
            "type": "collection",
        }
        text = json_util.dumps(described, json_options=json_util.CANONICAL_JSON_OPTIONS)
        with self._open(self.metadata, "wb") as file:
            file.write(text.encode())

    def read_metadata(self) -> dict[str, Any]:
        """Raises BackupUnusable."""
        try:
            with self._open(self.metadata, "rb") as file:
                return cast(dict[str, Any], json_util.loads(file.read().decode()))
        except (OSError, EOFError, ValueError) as error:
            raise BackupUnusable(f"{self.metadata}: {error}") from None

    @contextmanager
    def writer(self) -> Iterator["DocumentWriter"]:
        with self._open(self.documents, "wb") as file:
            yield DocumentWriter(file)

    def read(self) -> Iterator[bytes]:
        """The documents, as BSON. Raises BackupUnusable if the file is missing or damaged."""
        try:
            with self._open(self.documents, "rb") as file:
                while head := file.read(_LENGTH_BYTES):
                    length = int.from_bytes(head, "little")
                    if not _DOCUMENT_BYTES_MIN <= length <= _DOCUMENT_BYTES_MAX:
                        raise BackupUnusable(f"{self.documents}: a document of {length} bytes")
                    document = head + file.read(length - len(head))
                    if len(document) < length:
                        raise BackupUnusable(f"{self.documents} ends within a document")
                    yield document
        except (OSError, EOFError) as error:
            raise BackupUnusable(f"{self.documents}: {error}") from None

    def check(self, expected: CollectionManifest) -> None:
        """Raises BackupUnusable if the documents are not those of the manifest."""
        hashed, digest, size = sha256(), Digest(), 0
        for document in self.read():
            hashed.update(document)
            digest.add(document)
            size += len(document)
        found = CollectionManifest(digest.documents, size, hashed.hexdigest(), str(digest))
        if found != expected:
            raise BackupUnusable(
                f"{self.documents} has {found.documents} documents, {found.bytes} bytes, SHA-256 "
                f"{found.sha256}; the manifest says {expected.documents}, {expected.bytes}, {expected.sha256}"
            )

    def _open(self, path: Path, mode: str) -> IO[bytes]:
        if self._zipped:
            return cast(IO[bytes], gzip.open(path, mode, compresslevel=_GZIP_LEVEL))
        return cast(IO[bytes], path.open(mode))


class DocumentWriter:
    """Writes documents and counts them."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._hashed, self._digest, self._bytes = sha256(), Digest(), 0

    def write_batch(self, batch: bytes) -> int:
        """`batch`: see `Digest.add_batch`. Returns the number of documents."""
        before = self._digest.documents
        self._digest.add_batch(batch)
        self._file.write(batch)
        self._hashed.update(batch)
        self._bytes += len(batch)
        return self._digest.documents - before

    @property
    def written(self) -> CollectionManifest:
        return CollectionManifest(
            self._digest.documents, self._bytes, self._hashed.hexdigest(), str(self._digest)
        )
