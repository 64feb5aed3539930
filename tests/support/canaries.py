"""Canaries: texts that a test puts where personal data and secrets can be, and looks for in all telemetry.

Each contains the word CANARY in lower case, so that one search finds all.
"""

import io
import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any
from uuid import uuid4

import httpx
from pydantic import ValidationError

from chassis.clock import utc_now
from chassis.messaging.envelope import WireMessage, wrap
from chassis.messaging.message import Message
from chassis.messaging.senders import senders
from chassis.telemetry.exposition import Exposition
from contracts.catalog import CATALOG
from tests.support.decision_table_fixtures import DECISION_TABLES
from tests.support.otlp_receiver import ReceivedSpans

CANARY = "canary"
BAGGAGE = {"baggage": "user=emil-canary", "tracestate": "shop=canary"}
"""W3C headers in which a client can send anything along."""
_TEXT = "tok_canary"  # also has the form of a card token
_CONTEXT_CHARS = 80
_Path = tuple[str | int, ...]


@dataclass
class Telemetry:
    """What a shop has written.

    `passed_on`: where BAGGAGE reached another service or a message. `injected`: the ids of messages that the
    test sent with BAGGAGE itself.
    """

    log: io.StringIO = field(default_factory=io.StringIO)
    received: ReceivedSpans = field(default_factory=ReceivedSpans)
    passed_on: list[str] = field(default_factory=list)
    injected: set[str | None] = field(default_factory=set)

    def signals(self) -> dict[str, str]:
        return {
            "log": self.log.getvalue(),
            "metrics": Exposition().expose("application/openmetrics-text")[0].decode(),
            "spans": b"\n".join(self.received.raw).decode(errors="replace"),
            "baggage": "\n".join(f"{CANARY} in {where}" for where in self.passed_on),
        }


def leaks(signals: dict[str, str], secrets: Iterable[str]) -> list[str]:
    """Where one of the secrets, or a canary in any case, is in a signal: with the text around it."""
    pattern = re.compile("|".join(map(re.escape, (CANARY, *secrets))), re.IGNORECASE)
    return [
        f"{signal}: …{text[max(0, at.start() - _CONTEXT_CHARS) : at.end() + _CONTEXT_CHARS]}…"
        for signal, text in signals.items()
        for at in pattern.finditer(text)
    ]


def examples() -> dict[str, Message]:
    """A message of each wire type that a service handles."""
    handled = (message for table in DECISION_TABLES for message in table.messages.values())
    return {message.TYPE: message for message in handled if isinstance(message, Message)}


def with_canaries(message: Message) -> bytes:
    """A valid body: a canary in each text that the contract leaves free, and in an unknown field."""
    body = message.model_dump(mode="json", exclude_none=True)
    for path in list(_texts(body)):
        changed = _with_text(body, path, _TEXT)
        if _is_valid(type(message), changed):
            body = changed
    return json.dumps(body | {"note": _TEXT}).encode()


def hostile_bodies(message: Message) -> Iterator[bytes]:
    """Malformed ones: a canary in every text, and one in a body that ends early."""
    body = message.model_dump(mode="json", exclude_none=True)
    for path in list(_texts(body)):
        body = _with_text(body, path, _TEXT)
    yield json.dumps(body).encode()
    yield b'{"' + _TEXT.encode() + b'": "' + _TEXT.encode()


def wire_messages(message: Message) -> Iterator[tuple[str, WireMessage]]:
    """User and message: valid, malformed and forged ones, with BAGGAGE in their headers."""
    user = senders(type(message))[0]
    valid = with_canaries(message)
    sent_by = [(user, valid), *((user, body) for body in hostile_bodies(message)), ("intruder", valid)]
    for sender, body in sent_by:
        envelope = wrap(message, id=str(uuid4()), source=sender, now=utc_now())
        sent = envelope.wire_message(CATALOG)
        yield sender, replace(sent, body=body, headers={**sent.headers, **BAGGAGE})


async def knock(http: httpx.AsyncClient, method: str, path: str, headers: dict[str, str]) -> int:
    """A request with canaries in path, query, headers and body, as JSON and as a form. Returns a status."""
    url = re.sub(r"\{[^}]*\}", "canary-of-a-path", path)
    query = {"q": "canary-of-a-query", "email": "query@canary.example", "token": "canary-of-a-token"}
    fields = {"email": "form@canary.example", "password": "canary of ten plums", "name": "Canary"}
    given = {"User-Agent": "canary/1.0", "Referer": "https://canary.example/", **BAGGAGE, **headers}
    status = 0
    has_body = method in ("POST", "PUT", "PATCH")
    for as_json, as_form in ((fields, None), (None, fields)) if has_body else ((None, None),):
        # The body of a response may be an endless stream.
        async with http.stream(
            method, url, params=query, headers=given, json=as_json, data=as_form
        ) as response:
            status = response.status_code
    return status


def _texts(value: Any, path: _Path = ()) -> Iterator[_Path]:
    """The paths of all texts in a JSON document."""
    if isinstance(value, str):
        yield path
    pairs = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, each in pairs:
        yield from _texts(each, (*path, key))


def _with_text(value: Any, path: _Path, text: str) -> Any:
    if not path:
        return text
    key, *rest = path
    changed = value.copy()
    changed[key] = _with_text(value[key], tuple(rest), text)
    return changed


def _is_valid(contract: type[Message], body: Any) -> bool:
    try:
        contract.model_validate_json(json.dumps(body))
    except ValidationError:
        return False
    return True
