"""A client that writes raw AMQP frames, as a faulty C or PHP client could:
any bytes as properties and routing key.

The tables at the end build properties that pamqp cannot encode.
"""

import asyncio
import struct
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from urllib.parse import unquote, urlsplit

from pamqp import commands
from pamqp.constants import FRAME_END_CHAR
from pamqp.exceptions import PAMQPException
from pamqp.frame import FrameTypes, frame_parts, marshal, unmarshal
from pamqp.header import ProtocolHeader

_CHANNEL = 1
_BODY_FRAME_MAX = 100_000
RESPONSE_S_MAX = 30.0

# In the order of their flags.
NAMES = (
    "content_type", "content_encoding", "headers", "delivery_mode", "priority", "correlation_id", "reply_to",
    "expiration", "message_id", "timestamp", "type", "user_id", "app_id", "cluster_id",
)  # fmt: skip


class AmqpError(Exception):
    """The broker closed the channel or the connection because of what was sent."""


class RawAmqpClient:
    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    async def publish(self, exchange: str, key: bytes, properties: bytes, body: bytes = b"") -> None:
        """Returns when the broker has confirmed the message; raises Refused."""
        method = (
            struct.pack(">IH", commands.Basic.Publish.index, 0)
            + short(exchange.encode())
            + short(key)
            + b"\0"
        )
        header = struct.pack(">HHQ", commands.Basic.frame_id, 0, len(body)) + properties
        pieces = [body[at : at + _BODY_FRAME_MAX] for at in range(0, len(body), _BODY_FRAME_MAX)]
        self._writer.write(
            _frame(1, method) + _frame(2, header) + b"".join(_frame(3, piece) for piece in pieces)
        )
        response = await self._response()
        if not isinstance(response, commands.Basic.Ack):
            raise AmqpError(f"{response}: {getattr(response, 'reply_text', '')}")

    async def _ask(self, method: FrameTypes, channel: int) -> FrameTypes:
        self._writer.write(marshal(method, channel))
        return await self._response()

    async def _response(self) -> FrameTypes:
        try:
            async with asyncio.timeout(RESPONSE_S_MAX):
                head = await self._reader.readexactly(7)
                size = frame_parts(head)[2] or 0
                frame = unmarshal(head + await self._reader.readexactly(size + 1))[2]
        except (asyncio.IncompleteReadError, ConnectionError, PAMQPException) as error:
            raise AmqpError(repr(error)) from None
        assert frame is not None
        return frame

    async def greet(self, user: str, password: str, vhost: str) -> None:
        self._writer.write(ProtocolHeader().marshal())
        await self._response()
        start = commands.Connection.StartOk({}, "PLAIN", f"\0{user}\0{password}", "en_US")
        tune = await self._ask(start, 0)
        assert isinstance(tune, commands.Connection.Tune), f"the broker does not let {user} in: {tune}"
        self._writer.write(marshal(commands.Connection.TuneOk(tune.channel_max, tune.frame_max, 0), 0))
        await self._ask(commands.Connection.Open(vhost), 0)
        await self._ask(commands.Channel.Open(), _CHANNEL)
        await self._ask(commands.Confirm.Select(), _CHANNEL)


@asynccontextmanager
async def raw_amqp_client(url: str) -> AsyncIterator[RawAmqpClient]:
    parts = urlsplit(url)
    reader, writer = await asyncio.open_connection(parts.hostname, parts.port or 5672)
    client = RawAmqpClient(reader, writer)
    try:
        await client.greet(
            unquote(parts.username or ""), unquote(parts.password or ""), unquote(parts.path[1:])
        )
        yield client
    finally:
        writer.close()


def _frame(kind: int, payload: bytes, channel: int = _CHANNEL) -> bytes:
    return struct.pack(">BHI", kind, channel, len(payload)) + payload + FRAME_END_CHAR


def properties(**given: bytes) -> bytes:
    """Flags and values; each value as its bytes on the wire."""
    flags = sum(0x8000 >> NAMES.index(name) for name in given)
    return struct.pack(">H", flags) + b"".join(given[name] for name in NAMES if name in given)


def short(value: bytes) -> bytes:
    return bytes([len(value)]) + value


def table(*items: tuple[bytes, bytes]) -> bytes:
    """Names and values; each value is preceded by its type."""
    inside = b"".join(short(name) + value for name, value in items)
    return struct.pack(">I", len(inside)) + inside


def array(*values: bytes) -> bytes:
    inside = b"".join(values)
    return struct.pack(">I", len(inside)) + inside


def text(value: bytes) -> bytes:
    return b"S" + struct.pack(">I", len(value)) + value


def time(seconds: int) -> bytes:
    return struct.pack(">Q", seconds)


def nested(depth: int, kind: bytes = b"F") -> bytes:
    """A table nested in tables, or an array in arrays."""
    value = b"V"
    for _ in range(depth):
        value = kind + (table((b"x", value)) if kind == b"F" else array(value))
    return table((b"x", value))


_CAFE = "café".encode("latin-1")
# Sent by real clients, or possible: each breaks a decoder, or the code that uses the decoded values.
UNDECODABLE: dict[str, bytes] = {
    "timestamp of 2^63-1": properties(timestamp=time(2**63 - 1)),
    "timestamp of 2^64-1": properties(timestamp=time(2**64 - 1)),
    "latin-1 app_id": properties(app_id=short(_CAFE)),
    "latin-1 message_id": properties(message_id=short(_CAFE)),
    "latin-1 type": properties(type=short(_CAFE)),
    "latin-1 content_type": properties(content_type=short(_CAFE)),
    "latin-1 correlation_id": properties(correlation_id=short(_CAFE)),
    "latin-1 header name": properties(headers=table((_CAFE, b"V"))),
    "time in the headers out of range": properties(headers=table((b"at", b"T" + time(2**63 - 1)))),
    "tables nested 3,000 deep": properties(headers=nested(3_000)),
    "arrays nested 3,000 deep": properties(headers=nested(3_000, b"A")),
    "header name of 255 bytes": properties(headers=table((b"k" * 255, b"V"))),
    "40,000 values": properties(headers=table((b"a", b"A" + array(*[b"V"] * 40_000)))),
}
DECODABLE: dict[str, bytes] = {
    "no properties": properties(),
    "empty strings": properties(
        message_id=short(b""), type=short(b""), content_type=short(b""), app_id=short(b"")
    ),
    "names of 255 bytes": properties(message_id=short(b"m" * 255), correlation_id=short(b"c" * 255)),
    "NUL in names": properties(message_id=short(b"\0"), type=short(b"\0"), correlation_id=short(b"a\0b")),
    "escape sequences": properties(
        message_id=short(b"\x1b]0;x\x07"), app_id=short(b"<i>"), type=short(b"\x1b[2J")
    ),
    "latin-1 header": properties(headers=table((b"name", text(_CAFE)))),
    "double beyond single precision": properties(headers=table((b"d", b"d" + struct.pack(">d", 1e300)))),
    "unsigned decimal": properties(headers=table((b"D", b"D" + struct.pack(">BI", 255, 2**32 - 1)))),
    "attempt of 2^63-1": properties(headers=table((b"attempt", b"l" + struct.pack(">q", 2**63 - 1)))),
    "attempt and postponed are no numbers": properties(
        headers=table((b"attempt", text(b"x")), (b"postponed", b"F" + table()))
    ),
    "subject, time and traceparent are tables": properties(
        headers=table(*((name, b"F" + table((b"x", b"V"))) for name in (b"subject", b"time", b"traceparent")))
    ),
    "headers of 100 KiB": properties(headers=table((b"subject", text(b"s" * 100_000)))),
    "headers of nearly a frame": properties(headers=table((b"subject", text(b"s" * 130_900)))),
    "headers of 20 KiB that are no UTF-8": properties(headers=table((b"subject", text(b"\xff" * 20_000)))),
    "a delivery count": properties(headers=table((b"x-delivery-count", b"l" + struct.pack(">q", 99)))),
    "other properties": properties(
        content_encoding=short(b"gzip"), delivery_mode=b"\2", priority=b"\xff", reply_to=short(b"nowhere"),
        expiration=short(b"60000"), timestamp=time(0),
    ),
    "a mark as ours": properties(
        headers=table((b"unreadable", text(b"\x1b[2J")), (b"raw_properties", text(b"?")))
    ),
}  # fmt: skip

# RabbitMQ closes the sender's connection for these.
REFUSED: dict[str, bytes] = {
    "not a number": properties(headers=table((b"d", b"d" + struct.pack(">d", float("nan"))))),
    "infinity": properties(headers=table((b"f", b"f" + struct.pack(">f", float("inf"))))),
    "another's name": properties(user_id=short(b"operator")),
}


def delivered_frames(
    tag: int, properties: bytes, body: Sequence[bytes], channel: int, key: bytes = b"order.place.v1"
) -> bytes:
    """A message as a broker would deliver it."""
    method = struct.pack(">I", commands.Basic.Deliver.index) + short(b"us") + struct.pack(">Q?", tag, False)
    method += short(b"commands") + short(key)
    header = struct.pack(">HHQ", commands.Basic.frame_id, 0, sum(map(len, body))) + properties
    pieces = b"".join(_frame(3, piece, channel) for piece in body)
    return _frame(1, method, channel) + _frame(2, header, channel) + pieces
