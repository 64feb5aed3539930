"""What the services need to reach: one broker, one database, one mail server, and why these were taken."""

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
    """Something that is needed is not here; `remedy` tells a person what to do about it."""

    def __init__(self, reason: str, remedy: str) -> None:
        super().__init__(f"{reason}\n  {remedy}")
        self.reason = reason
        self.remedy = remedy


@dataclass(frozen=True)
class Infrastructure:
    """Addresses carry passwords, so they stay out of `repr` and of `said`."""

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
        """Raises ValueError for anything but what `to_json` wrote."""
        fields = json.loads(text)
        names = {each.name for each in dataclasses.fields(cls)}
        if not isinstance(fields, dict) or set(fields) != names or fields["kind"] not in KINDS:
            raise ValueError("not the state of an infrastructure")
        return cls(**fields)


def masked(url: str) -> str:
    """The same address, fit to be shown: the password is gone."""
    parts = urlsplit(url)
    if parts.password is None:
        return url
    host = parts.netloc.rpartition("@")[2]
    return urlunsplit(parts._replace(netloc=f"{parts.username}:***@{host}"))


def cache_dir() -> Path:
    """What is downloaded for all checkouts of this user."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "order-journey"


def private_dir(path: Path) -> Path:
    """Makes the directory, for its owner only."""
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    return path


def write_private(path: Path, text: str) -> None:
    """Replaces the file in one step, readable by its owner only: a half-written one is never seen."""
    private_dir(path.parent)
    unfinished = path.with_name(f".{path.name}.{os.getpid()}")
    unfinished.unlink(missing_ok=True)
    with os.fdopen(os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(text)
    unfinished.replace(path)
