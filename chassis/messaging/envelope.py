"""A message's envelope with its CloudEvents 1.0 attributes, and its mapping to AMQP properties and headers.

CloudEvents attribute  AMQP 0-9-1                remark
id                     property message_id       deterministic for every message that a service emits
type                   property type             also the routing key
source                 property app_id           the service or client program
subject                header subject            the aggregate's id
time                   header time               RFC 3339, UTC, microseconds
datacontenttype        property content_type     application/json; read also with charset=utf-8, or missing
correlationid          property correlation_id   the journey
causationid            header causation_id       the id of the message that led to this one
traceparent            header traceparent        W3C trace context
specversion            not sent                  this mapping supports "1.0" only
"""

import json
from base64 import b64encode
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

from pydantic import ValidationError

from chassis.messaging.catalog import Catalog
from chassis.messaging.media_type import is_json
from chassis.messaging.message import Command, Message, Sender
from chassis.messaging.origin import COPYING_HEADERS, HANDED_BACK, HOP_HEADERS, why_forged
from chassis.messaging.senders import OPERATOR as OPERATOR
from chassis.messaging.untrusted import NAME_BYTES_MAX, count, headers_bytes, text, traceparent

BODY_BYTES_MAX = 256 * 1024
CONTENT_TYPE = "application/json"
HEADERS_BYTES_MAX = 16 * 1024
_NAME_CHARS_MAX = 40
_TIME_CHARS_MAX = 40
_LONG_AGO = datetime.min.replace(tzinfo=UTC)

# Headers of an undecodable message: the reason, its properties' bytes (base64), its body's original size.
UNREADABLE = "unreadable"
RAW_PROPERTIES = "raw_properties"
BODY_SIZE = "body_size"
_RAW_BYTES_MAX = 32 * 1024
_REASON_CHARS_MAX = 200


@dataclass(frozen=True, slots=True)
class WireMessage:
    """A message as the broker carries it, in either direction. The broker verifies `user_id`."""

    exchange: str
    routing_key: str
    body: bytes
    message_id: str | None
    type: str | None
    app_id: str | None
    correlation_id: str | None
    headers: Mapping[str, Any] = field(default_factory=dict)
    content_type: str | None = CONTENT_TYPE
    user_id: str | None = None

    @property
    def direct(self) -> bool:
        """Whether it came to its queue through an exchange: no service has written its headers yet."""
        return self.exchange != HANDED_BACK

    @property
    def attempt(self) -> int:
        """How often handling it had failed when it arrived; 0 if it is direct.

        Our own count, because x-death is lost on republishing.
        """
        return self._count("attempt")

    @property
    def postponed(self) -> int:
        """How often it had been postponed when it arrived, because an external service was unavailable."""
        return self._count("postponed")

    def _count(self, name: str) -> int:
        return 0 if self.direct else count(self.headers.get(name))

    def with_route(self, exchange: str, routing_key: str, **headers: Any) -> "WireMessage":
        """The same message, byte for byte, with another route; the broker sets the user again.

        Drops the broker's copying headers and, if the message comes directly from its sender, the headers of
        the retry ladder.
        """
        dropped = COPYING_HEADERS | HOP_HEADERS if self.direct else COPYING_HEADERS
        kept = {k: v for k, v in self.headers.items() if not k.startswith("x-") and k.lower() not in dropped}
        return replace(self, exchange=exchange, routing_key=routing_key, headers=kept | headers, user_id=None)


def unreadable(wire_message: WireMessage, why: str, properties: bytes = b"") -> WireMessage:
    """Mark a message as undecodable. The properties' raw bytes are kept in a header."""
    kept = b64encode(properties[:_RAW_BYTES_MAX]).decode()
    headers = {UNREADABLE: why, RAW_PROPERTIES: kept} if kept else {UNREADABLE: why}
    return replace(wire_message, headers={**wire_message.headers, **headers})


@dataclass(frozen=True, slots=True)
class Envelope:
    """A message as it is stored and sent. Its bytes never change."""

    id: str
    type: str
    source: str
    subject: str
    time: str
    correlation_id: str
    causation_id: str
    body: bytes
    traceparent: str = ""

    @property
    def sent_at(self) -> datetime:
        """`time`, parsed. An unreadable time counts as long ago,
        because old messages are handled with more care.
        """
        try:
            sent_at = datetime.fromisoformat(self.time)
        except ValueError:
            return _LONG_AGO
        return sent_at if sent_at.tzinfo else _LONG_AGO

    @property
    def known_sent_at(self) -> datetime | None:
        """`time` in UTC; None if it is unreadable."""
        try:
            sent_at = self.sent_at.astimezone(UTC)
        except OverflowError:  # in UTC it is before year 1 or after year 9999
            return None
        return None if sent_at == _LONG_AGO else sent_at

    @property
    def known_time(self) -> str:
        """`time`, normalised; empty if it is unreadable."""
        return format_time(sent_at) if (sent_at := self.known_sent_at) else ""

    def wire_message(self, catalog: Catalog) -> WireMessage:
        """As the broker carries it. Raises UnknownMessageType if its type is not in the catalog."""
        headers = {
            "subject": self.subject,
            "time": self.time,
            "causation_id": self.causation_id,
            "traceparent": self.traceparent,
        }
        exchange = catalog.names.exchange_of(catalog[self.type])
        present = {key: value for key, value in headers.items() if value}
        return WireMessage(
            exchange,
            self.type,
            self.body,
            message_id=self.id,
            type=self.type,
            app_id=self.source,
            correlation_id=self.correlation_id,
            headers=present,
        )

    def document(self) -> dict[str, str]:
        """A JSON-compatible form; `from_document` restores the same envelope, byte for byte."""
        return {
            "id": self.id,
            "type": self.type,
            "source": self.source,
            "subject": self.subject,
            "time": self.time,
            "correlation_id": self.correlation_id,
            "causation_id": self.causation_id,
            "body": self.body.decode(),
            "traceparent": self.traceparent,
        }

    @classmethod
    def from_document(cls, document: Mapping[str, str]) -> "Envelope":
        return cls(
            id=document["id"],
            type=document["type"],
            source=document["source"],
            subject=document["subject"],
            time=document["time"],
            correlation_id=document["correlation_id"],
            causation_id=document["causation_id"],
            body=document["body"].encode(),
            traceparent=document.get("traceparent", ""),
        )


def wrap(
    message: Message,
    *,
    id: str,
    source: str,
    now: datetime,
    correlation_id: str = "",
    causation_id: str = "",
    traceparent: str = "",
) -> Envelope:
    """Wrap a message in an envelope. Without a correlation id it starts a journey named after its subject."""
    subject = message.subject
    return Envelope(
        id=id,
        type=message.TYPE,
        source=source,
        subject=subject,
        time=format_time(now),
        correlation_id=correlation_id or subject,
        causation_id=causation_id,
        body=message.model_dump_json(exclude_none=True).encode(),
        traceparent=traceparent,
    )


def format_time(time: datetime) -> str:
    """A time in the format of messages."""
    return time.astimezone(UTC).isoformat(timespec="microseconds")


class Malformed(Exception):
    """A message that can never be handled. The text gives the reason for people, and repeats no content."""


class Forged(Malformed):
    """A message whose sender may not send its type, or whose exchange or routing key does not match it."""


class Unreadable(Malformed):
    """A message that is too large, or whose bytes from the broker cannot be decoded."""


def parse(wire_message: WireMessage, catalog: Catalog, *, reader: str) -> tuple[Envelope, Message]:
    """Unwrap a message that `reader` received. Raises Malformed, Forged or Unreadable with the reason."""
    if UNREADABLE in wire_message.headers:
        raise Unreadable(str(wire_message.headers[UNREADABLE])[:_REASON_CHARS_MAX])
    if wire_message.type is None or wire_message.type not in catalog:
        raise Malformed(
            f"unknown message type {wire_message.type!r}; "
            f"this program knows the types of {catalog.declared_in}"
        )
    contract = catalog[wire_message.type]
    if reason := why_forged(wire_message, contract, reader, names=catalog.names):
        raise Forged(reason)
    if not wire_message.message_id:
        raise Malformed("no message_id property; every message needs an id of its own")
    if not is_json(wire_message.content_type):
        raise Malformed(f"content_type is {wire_message.content_type!r}, expected {CONTENT_TYPE!r} in UTF-8")
    if len(wire_message.body) > BODY_BYTES_MAX:
        raise Malformed(f"body of {len(wire_message.body)} bytes, at most {BODY_BYTES_MAX} are allowed")
    if (size := headers_bytes(wire_message.headers)) > HEADERS_BYTES_MAX:
        raise Malformed(f"headers of {size} bytes, at most {HEADERS_BYTES_MAX} are allowed")
    message = read(contract, wire_message.body)
    if issubclass(contract, Command) and contract.SENDER is not Sender.SELF:
        _check_keys(contract, wire_message.body)
    headers = wire_message.headers
    envelope = Envelope(
        id=wire_message.message_id,
        type=wire_message.type,
        source=wire_message.app_id or wire_message.user_id or "",
        subject=message.subject,
        time=text(headers.get("time"), _TIME_CHARS_MAX),
        correlation_id=wire_message.correlation_id or message.subject,
        causation_id=text(headers.get("causation_id"), NAME_BYTES_MAX),
        body=wire_message.body,
        traceparent=traceparent(headers.get("traceparent")),
    )
    return envelope, message


def read(contract: type[Message], body: bytes) -> Message:
    """Validate a body. Unknown fields are ignored,
    so that an older consumer accepts a newer sender's messages.
    """
    try:
        return contract.model_validate_json(body, extra="ignore")
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part) for part in first["loc"]) or "body"
        raise Malformed(f"{contract.TYPE}: {where}: {first['msg']}") from None


def _check_keys(contract: type[Message], body: bytes) -> None:
    """Reject duplicate JSON keys from other senders: parsers differ in which of the two counts."""

    def once(pairs: list[tuple[str, Any]]) -> None:
        if len(dict(pairs)) < len(pairs):
            twice, _ = Counter(name for name, _ in pairs).most_common(1)[0]
            raise Malformed(f"{contract.TYPE}: {twice[:_NAME_CHARS_MAX]}: given twice")

    try:
        json.loads(body, object_pairs_hook=once, parse_int=str)
    except (ValueError, RecursionError) as error:
        raise Malformed(f"{contract.TYPE}: body: {type(error).__name__}") from None
