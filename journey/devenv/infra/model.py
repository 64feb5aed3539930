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
