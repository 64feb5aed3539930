"""The addresses of broker, database and mail server, and the reason for this choice."""

import dataclasses
import json
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, get_args
from urllib.parse import urlsplit, urlunsplit

Kind = Literal["environment", "docker", "local", "memory"]
KINDS: tuple[Kind, ...] = get_args(Kind)

MEMORY_URL = "memory://"


class InfrastructureUnavailable(Exception):
    """A required service or program is missing; `remedy` tells the user what to do."""

    def __init__(self, reason: str, remedy: str) -> None:
        super().__init__(f"{reason}\n  {remedy}")
        self.reason = reason
        self.remedy = remedy


@dataclass(frozen=True)
class Infrastructure:
    """Addresses contain passwords, so they are excluded from `repr` and `said`."""

    kind: Kind
    amqp_url: str = field(repr=False)
    management_url: str = field(repr=False)
    mongo_url: str = field(repr=False)
    smtp_url: str = field(repr=False)
    mailbox_url: str = field(repr=False)
    said: str

    def to_json(self) -> str:
        return json.dumps(dataclasses.asdict(self), indent=2) + "\n"

    @classmethod
    def from_json(cls, text: str) -> "Infrastructure":
        """Raises ValueError for anything that `to_json` has not written."""
        fields = json.loads(text)
        names = {each.name for each in dataclasses.fields(cls)}
        if not isinstance(fields, dict) or set(fields) != names or fields["kind"] not in KINDS:
            raise ValueError("not the state of an infrastructure")
        return cls(**fields)


def masked(url: str) -> str:
    """The URL with its password masked, for display."""
    parts = urlsplit(url)
    if parts.password is None:
        return url
    host = parts.netloc.rpartition("@")[2]
    return urlunsplit(parts._replace(netloc=f"{parts.username}:***@{host}"))


def cache_dir() -> Path:
    """Downloads that all checkouts of this user share."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "order-journey"


def private_dir(path: Path) -> Path:
    """Create the directory with permissions for its owner only."""
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    return path


def write_private(path: Path, text: str) -> None:
    """Replace the file atomically; readable by its owner only."""
    private_dir(path.parent)
    unfinished = path.with_name(f".{path.name}.{os.getpid()}")
    unfinished.unlink(missing_ok=True)
    with os.fdopen(os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(text)
    unfinished.replace(path)
