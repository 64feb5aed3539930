"""The received mails, and the injected faults: state shared by the SMTP server and the web page."""

import base64
import email
import email.policy
import email.utils
import functools
import json
import os
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.message import EmailMessage
from itertools import islice
from pathlib import Path
from typing import Any, Literal
from uuid import uuid4

MAILS_MAX = 20_000


@dataclass(frozen=True)
class CaughtMail:
    id: str
    created: datetime
    sent_by: str
    sent_to: tuple[str, ...]
    raw: bytes

    @functools.cached_property
    def parsed(self) -> EmailMessage:
        return email.message_from_bytes(self.raw, policy=email.policy.default)

    def header(self, name: str) -> str:
        try:
            return str(self.parsed[name] or "")
        except Exception:  # the parser fails on some malformed headers; show the mail anyway
            return ""

    @property
    def message_id(self) -> str:
        return self.header("Message-ID").strip().strip("<>")

    def addresses(self, name: str) -> list[dict[str, str]]:
        pairs = email.utils.getaddresses([self.header(name)])
        return [{"Name": person, "Address": address} for person, address in pairs if address]

    def body(self, kind: Literal["plain", "html"]) -> str:
        try:
            part = self.parsed.get_body((kind,))
            return "" if part is None else str(part.get_content())
        except (LookupError, ValueError, KeyError):  # an unknown charset or a broken structure
            return ""

    @functools.cached_property
    def summary(self) -> dict[str, Any]:
        """The summary in Mailpit's format.

        Cached, because parsing is expensive and tests list all mails repeatedly.
        """
        text = self.body("plain") or self.header("Subject")
        return {
            "ID": self.id,
            "MessageID": self.message_id,
            "From": (self.addresses("From") or [{"Name": "", "Address": self.sent_by}])[0],
            "To": self.addresses("To") or [{"Name": "", "Address": address} for address in self.sent_to],
            "Subject": self.header("Subject"),
            "Created": self.created.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "Size": len(self.raw),
            "Snippet": " ".join(text.split())[:250],
        }


@dataclass
class Mailbox:
    """Keeps every mail, including repeated Message-IDs: tests look for duplicates."""

    file: Path | None = None
    _mails: deque[CaughtMail] = field(default_factory=lambda: deque(maxlen=MAILS_MAX))

    def __post_init__(self) -> None:
        if self.file is not None and self.file.exists():
            self._mails.extend(_read(self.file))
            _end_last_line(self.file)

    def __len__(self) -> int:
        return len(self._mails)

    def take(self, sent_by: str, sent_to: list[str], raw: bytes) -> CaughtMail:
        mail = CaughtMail(uuid4().hex, datetime.now(UTC), sent_by, tuple(sent_to), raw)
        self._mails.append(mail)
        if self.file is not None:
            self.file.parent.mkdir(parents=True, exist_ok=True)
            with self.file.open("a") as file:
                file.write(_line(mail))
        return mail

    def newest(self, start: int, limit: int) -> list[CaughtMail]:
        return list(islice(reversed(self._mails), start, start + limit))

    def find(self, mail_id: str) -> CaughtMail | None:
        if mail_id == "latest":
            return self._mails[-1] if self._mails else None
        return next((mail for mail in self._mails if mail.id == mail_id), None)

    def drop(self, ids: set[str] | None = None) -> None:
        """Delete some, or all of them."""
        kept = [] if ids is None else [mail for mail in self._mails if mail.id not in ids]
        self._mails.clear()
        self._mails.extend(kept)
        if self.file is not None and self.file.exists():
            self.file.write_text("".join(map(_line, kept)))


def _line(mail: CaughtMail) -> str:
    kept = {
        "id": mail.id,
        "created": mail.created.isoformat(),
        "from": mail.sent_by,
        "to": mail.sent_to,
        "raw": base64.b64encode(mail.raw).decode(),
    }
    return json.dumps(kept) + "\n"


def _read(file: Path) -> Iterator[CaughtMail]:
    with file.open() as lines:
        for line in lines:
            try:
                kept = json.loads(line)
            except ValueError:
                continue  # the last line, if the process was killed while writing it
            created = datetime.fromisoformat(kept["created"])
            raw = base64.b64decode(kept["raw"])
            yield CaughtMail(kept["id"], created, kept["from"], tuple(kept["to"]), raw)


def _end_last_line(file: Path) -> None:
    """Terminate a line that a kill cut off, so that the next mail starts on its own line."""
    with file.open("rb+") as content:
        if content.seek(0, os.SEEK_END) > 0:
            content.seek(-1, os.SEEK_END)
            if content.read(1) != b"\n":
                content.write(b"\n")


@dataclass
class Faults:
    """Faults for the next mails: reject them temporarily, or delay the response."""

    refuse: int | Literal["always"] = 0
    delay_ms: int = 0

    def refuses(self) -> bool:
        if self.refuse == "always":
            return True
        if self.refuse > 0:
            self.refuse -= 1
            return True
        return False
