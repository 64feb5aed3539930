"""Parses deliveries directly from the broker's bytes and leaves all other frames to aiormq.

aiormq spends about 100 µs of CPU on each delivery, in waits, queues and a task; a delivery parsed here costs
30 µs. aiormq also drops the connection if it cannot decode a message. Therefore every message that is left to
aiormq is decoded here and encoded again.
"""

import asyncio
import struct
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

from aiormq.connection import TransportFactory
from pamqp.body import ContentBody
from pamqp.commands import Basic
from pamqp.constants import FRAME_BODY, FRAME_END, FRAME_HEADER, FRAME_HEADER_SIZE, FRAME_METHOD
from pamqp.exceptions import UnmarshalingException
from pamqp.frame import frame_parts, marshal
from pamqp.header import ContentHeader
from pamqp.heartbeat import Heartbeat
from yarl import URL

from chassis.bus.amqp_properties import Undecodable, decode
from chassis.messaging.envelope import BODY_BYTES_MAX, BODY_SIZE, WireMessage, unreadable
from chassis.messaging.untrusted import count

_SIGN_OF_LIFE_S = 1.0
_SHORT_STRING_BYTES_MAX = 255


@dataclass(frozen=True, slots=True)
class RawDelivery:
    """A message with its channel's delivery tag, its consumer tag, and the number of earlier deliveries."""

    tag: int
    wire_message: WireMessage
    consumer: str = ""
    returned: int = 0


Take = Callable[[RawDelivery], None]
"""Receives each message of a channel."""

Method = Basic.Deliver | Basic.GetOk | Basic.Return
"""The methods that carry a message. A frame begins with the method's class id and method id."""


@dataclass(slots=True)
class _Begun:
    """An incomplete message. Of an oversized body only the first BODY_BYTES_MAX bytes are kept."""

    method: Method
    why: str = ""
    properties: bytes | None = None
    size: int = 0
    got: int = 0
    pieces: list[bytes] = field(default_factory=list)

    @property
    def complete(self) -> bool:
        return self.properties is not None and self.got >= self.size

    def add(self, piece: bytes) -> None:
        if room := max(0, BODY_BYTES_MAX - self.got):
            self.pieces.append(piece[:room])
        self.got += len(piece)

    def wire_message(self) -> WireMessage:
        """The complete message.

        Never raises: content that cannot be decoded becomes an unreadable message.
        """
        assert self.properties is not None
        exchange = self.method.exchange or ""
        key = self.method.routing_key or ""
        body = b"".join(self.pieces)
        try:
            wire_message = _parcel(exchange, key, decode(self.properties), body)
        except Undecodable as error:
            bare = WireMessage(exchange, key, body, None, None, None, None, content_type=None)
            wire_message = unreadable(bare, str(error), self.properties)
        if self.why:
            wire_message = unreadable(wire_message, self.why, self.properties)
        if self.size > BODY_BYTES_MAX:
            why = f"body of {self.size} bytes, at most {BODY_BYTES_MAX} are allowed"
            wire_message = unreadable(wire_message, why)
            wire_message = replace(wire_message, headers={**wire_message.headers, BODY_SIZE: self.size})
        return wire_message


class Deliveries(asyncio.StreamReader):
    """The broker's byte stream for aiormq, without the deliveries on the channels in `taken`."""

    def __init__(self) -> None:
        super().__init__()
        self.taken: dict[int, Take] = {}
        self._begun: dict[int, _Begun] = {}
        self._rest = b""
        self._heard_at = 0.0

    def feed_data(self, data: Any) -> None:
        """Raises UnmarshalingException only if the bytes are not AMQP frames;
        the connection cannot continue then.
        """
        data, at, took = self._rest + data, 0, False
        while True:
            kind, channel, size = frame_parts(data[at : at + FRAME_HEADER_SIZE])
            if size is None or len(data) < (end := at + FRAME_HEADER_SIZE + size + 1):
                break
            if data[end - 1] != FRAME_END:
                raise UnmarshalingException("frame", "the broker sent a frame without its end")
            if self._is_message(kind, channel, data[at + FRAME_HEADER_SIZE : end - 1]):
                took = took or channel in self.taken
            else:
                super().feed_data(data[at:end])
            at = end
        self._rest = data[at:]
        if took and (now := asyncio.get_running_loop().time()) > self._heard_at + _SIGN_OF_LIFE_S:
            # A broker that sends deliveries sends no heartbeats, so aiormq would consider the connection
            # dead.
            self._heard_at = now
            super().feed_data(Heartbeat().marshal())

    def _is_message(self, kind: int, channel: int, payload: bytes) -> bool:
        """Whether a frame belongs to a message. The last frame of a message passes it on."""
        if kind == FRAME_METHOD and payload[:4] in _METHODS:
            self._begun[channel] = _Begun(*_METHODS[payload[:4]](payload))
            return True
        if (begun := self._begun.get(channel)) is None or kind not in (FRAME_HEADER, FRAME_BODY):
            return False
        if kind == FRAME_HEADER:
            begun.size = int.from_bytes(payload[4:12])
            begun.properties = payload[12:]
        else:
            begun.add(payload)
        if begun.complete:
            del self._begun[channel]
            self._pass_on(channel, begun.method, begun.wire_message())
        return True

    def _pass_on(self, channel: int, method: Method, wire_message: WireMessage) -> None:
        if isinstance(method, Basic.Deliver) and channel in self.taken:
            # The sender can forge this header, but not the broker's redelivered flag.
            returned = count(wire_message.headers.get("x-delivery-count")) if method.redelivered else 0
            self.taken[channel](
                RawDelivery(method.delivery_tag or 0, wire_message, method.consumer_tag or "", returned)
            )
            return
        header = ContentHeader(0, len(wire_message.body), properties_of(wire_message))
        frames = [method, header, *([ContentBody(wire_message.body)] if wire_message.body else [])]
        super().feed_data(b"".join(marshal(frame, channel) for frame in frames))


def _deliver(payload: bytes) -> tuple[Method, str]:
    tag, at = _short_string(payload, 4)
    number, redelivered = struct.unpack_from(">Q?", payload, at)
    (exchange, key), why = _address(payload, at + 9)
    return Basic.Deliver(tag.decode(), number, redelivered, exchange, key), why


def _got(payload: bytes) -> tuple[Method, str]:
    number, redelivered = struct.unpack_from(">Q?", payload, 4)
    (exchange, key), why = _address(payload, 13)
    return Basic.GetOk(number, redelivered, exchange, key, int.from_bytes(payload[-4:])), why


def _returned(payload: bytes) -> tuple[Method, str]:
    text, at = _short_string(payload, 6)
    (exchange, key), why = _address(payload, at)
    return Basic.Return(int.from_bytes(payload[4:6]), text.decode(errors="replace"), exchange, key), why


_METHODS = {
    struct.pack(">I", Basic.Deliver.index): _deliver,
    struct.pack(">I", Basic.GetOk.index): _got,
    struct.pack(">I", Basic.Return.index): _returned,
}


def _address(payload: bytes, at: int) -> tuple[tuple[str, str], str]:
    """Exchange and routing key, and why they are unreadable, if they are: the sender chooses the key,
    in any bytes.
    """
    exchange, at = _short_string(payload, at)
    key, _ = _short_string(payload, at)
    try:
        return (exchange.decode(), key.decode()), ""
    except UnicodeDecodeError:
        shown = (_escaped(exchange), _escaped(key))
        return shown, "the routing key is not UTF-8"


def _escaped(raw: bytes) -> str:
    """Text that fits into an AMQP short string."""
    text = raw.decode(errors="backslashreplace").encode()[:_SHORT_STRING_BYTES_MAX]
    return text.decode(errors="ignore")


def _short_string(payload: bytes, at: int) -> tuple[bytes, int]:
    """The string's bytes, and the offset of the next field."""
    end = at + 1 + payload[at]
    return payload[at + 1 : end], end


def parcel_of(method: Method, header: ContentHeader, body: bytes) -> WireMessage:
    """The message that aiormq has decoded."""
    return _parcel(method.exchange or "", method.routing_key or "", header.properties, body)


def _parcel(exchange: str, routing_key: str, properties: Basic.Properties, body: bytes) -> WireMessage:
    names = (properties.message_id, properties.message_type, properties.app_id, properties.correlation_id)
    headers = properties.headers or {}
    content_type = properties.content_type
    user = properties.user_id
    return WireMessage(exchange, routing_key, body, *names, headers, content_type, user)


def properties_of(wire_message: WireMessage, **others: Any) -> Basic.Properties:
    """The AMQP properties of a message, for publishing."""
    ids: Any = {
        "message_id": wire_message.message_id,
        "correlation_id": wire_message.correlation_id,
        "user_id": wire_message.user_id,
    }
    kinds: Any = {
        "content_type": wire_message.content_type,
        "message_type": wire_message.type,
        "app_id": wire_message.app_id,
    }
    return Basic.Properties(headers=dict(wire_message.headers) or None, **(ids | kinds | others))


class TapTransportFactory(TransportFactory):
    """Opens aiormq's connections with a reader that can intercept deliveries."""

    reader: Deliveries

    async def create(self, url: URL, *, ssl_context_provider: Any = None, **how: Any) -> Any:
        ssl = await ssl_context_provider.get_context() if url.scheme == "amqps" else None
        loop = asyncio.get_running_loop()
        self.reader = Deliveries()
        protocol = asyncio.StreamReaderProtocol(self.reader)
        transport, _ = await loop.create_connection(
            lambda: protocol, url.host or "", url.port or 0, ssl=ssl, **how
        )
        return self.reader, asyncio.StreamWriter(transport, protocol, self.reader, loop)
