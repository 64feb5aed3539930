"""What a backup of one service consists of: when it was taken, and the checksums of its collections."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from hashlib import sha256
from pathlib import Path

from journey.admin.private_files import write_private

FORMAT = 1


class BackupUnusable(Exception):
    """A backup is missing, incomplete or damaged. The text names the file."""


class NothingStored(BackupUnusable):
    """The service has never run, so it has no database."""


@dataclass(frozen=True)
class CollectionManifest:
    """`sha256`: of the uncompressed BSON file. `digest`: of the documents, in any order; see `Digest`."""

    documents: int
    bytes: int
    sha256: str
    digest: str


@dataclass(frozen=True)
class Manifest:
    """`taken_at`: the database's time before the first read, so each later change is newer."""

    service: str
    database: str
    taken_at: datetime
    server: str
    gzip: bool
    collections: Mapping[str, CollectionManifest]
    format: int = FORMAT

    @property
    def documents(self) -> int:
        return sum(each.documents for each in self.collections.values())

    def write(self, directory: Path) -> None:
        """Written last: a backup without a manifest is incomplete."""
        fields = asdict(self) | {"taken_at": self.taken_at.isoformat()}
        write_private(path_of(directory, self.service), json.dumps(fields, indent=2) + "\n")

    @classmethod
    def read(cls, directory: Path, service: str) -> "Manifest":
        """Raises BackupUnusable."""
        path = path_of(directory, service)
        try:
            fields = json.loads(path.read_text())
            if fields["format"] != FORMAT or fields["service"] != service:
                raise BackupUnusable(f"{path} is not a manifest of {service} in format {FORMAT}")
            fields["taken_at"] = datetime.fromisoformat(fields["taken_at"])
            fields["collections"] = {
                name: CollectionManifest(**each) for name, each in fields["collections"].items()
            }
            return cls(**fields)
        except FileNotFoundError:
            raise BackupUnusable(
                f"{directory} has no complete backup of {service}: {path.name} is missing"
            ) from None
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise BackupUnusable(f"{path} cannot be read: {error}") from None


def path_of(directory: Path, service: str) -> Path:
    return directory / f"{service}.manifest.json"


class Digest:
    """A checksum of a set of documents that does not depend on their order: the XOR of their SHA-256."""

    def __init__(self) -> None:
        self._xor = 0
        self.documents = 0

    def add(self, document: bytes) -> None:
        self._xor ^= int.from_bytes(sha256(document).digest(), "big")
        self.documents += 1

    def add_batch(self, batch: bytes) -> None:
        """Documents one after another, as the server sends them."""
        at = 0
        while at < len(batch):
            length = int.from_bytes(batch[at : at + 4], "little")
            self.add(batch[at : at + length])
            at += length

    def __str__(self) -> str:
        return f"{self._xor:064x}"
