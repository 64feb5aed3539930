"""Decodes a message's AMQP properties from untrusted bytes.

pamqp's decoder copies the rest of a table for every value in it, recurses as deep as the sender nests, and
returns values that its encoder rejects. This decoder takes linear time, limits depth and size, and returns
only values that can be encoded again.
"""

import struct
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from pamqp.commands import Basic

DEPTH_MAX = 32
VALUES_MAX = 1_000
KEY_BYTES_MAX = 128  # AMQP's limit for a field name
_SINGLE_MAX = 3.4028234663852886e38  # the encoder supports single precision only
_SECONDS_MAX = 0xFFFFFFFF  # larger timestamps are read as milliseconds, as in pamqp
_MILLISECONDS = 1000


class Undecodable(Exception):
    """The properties violate AMQP or exceed our limits. The text repeats no content."""


def decode(raw: bytes) -> Basic.Properties:
    """Decode the property flags and the properties, and return those that we use. Raises Undecodable."""
    reader = _Reader(raw)
    try:
        present = {name: _PROPERTIES[name](reader, name) for name in _flagged(reader)}
    except struct.error:
        raise Undecodable("the properties end too early") from None
    return Basic.Properties(
        content_type=present.get("content_type"),
        headers=present.get("headers"),
        correlation_id=present.get("correlation_id"),
        message_id=present.get("message_id"),
        message_type=present.get("message_type"),
        user_id=present.get("user_id"),
        app_id=present.get("app_id"),
    )


def _flagged(reader: "_Reader") -> list[str]:
    """The names of the properties that are present, in the order of their values."""
    flags = reader.number(">H", 2)
    names = [name for bit, name in enumerate(_PROPERTIES) if flags & 0x8000 >> bit]
    if flags & 0b11:
        raise Undecodable("a property flag that AMQP 0-9-1 does not define")
    return names


@dataclass(slots=True)
class _Reader:
    raw: bytes
    at: int = 0
    values: int = 0

    def number(self, form: str, size: int) -> Any:
        [value] = struct.unpack_from(form, self.raw, self.at)
        self.at += size
        return value

    def bytes_(self, size: int) -> bytes:
        value = self.raw[self.at : self.at + size]
        if len(value) < size:
            raise Undecodable("the properties end too early")
        self.at += size
        return value

    def short_string(self, name: str) -> str:
        try:
            return self.bytes_(self.number(">B", 1)).decode()
        except UnicodeDecodeError:
            raise Undecodable(f"{name} is not UTF-8") from None

    def timestamp(self, name: str) -> datetime:
        seconds = self.number(">Q", 8)
        try:
            return datetime.fromtimestamp(
                seconds if seconds <= _SECONDS_MAX else seconds / _MILLISECONDS, UTC
            )
        except (ValueError, OverflowError, OSError):
            raise Undecodable(f"{name} is out of range") from None

    def table(self, name: str, depth: int = 0) -> dict[str, Any]:
        end = self._end()
        table: dict[str, Any] = {}
        while self.at < end:
            if (size := self.number(">B", 1)) > KEY_BYTES_MAX:
                raise Undecodable(f"a header's name has {size} bytes, at most {KEY_BYTES_MAX} are allowed")
            try:
                key = self.bytes_(size).decode()
            except UnicodeDecodeError:
                raise Undecodable("a header's name is not UTF-8") from None
            table[key] = self._value(depth + 1)
        self._ended_at(end)
        return table

    def array(self, depth: int) -> list[Any]:
        end = self._end()
        array = []
        while self.at < end:
            array.append(self._value(depth + 1))
        self._ended_at(end)
        return array

    def _end(self) -> int:
        size: int = self.number(">I", 4)
        if self.at + size > len(self.raw):
            raise Undecodable("the properties end too early")
        return self.at + size

    def _ended_at(self, end: int) -> None:
        if self.at > end:
            raise Undecodable("a header is longer than the table that it is in")

    def _value(self, depth: int) -> Any:
        self.values += 1
        if self.values > VALUES_MAX:
            raise Undecodable(f"more than {VALUES_MAX} values in the headers")
        if depth > DEPTH_MAX:
            raise Undecodable(f"headers are nested more than {DEPTH_MAX} deep")
        kind = self.bytes_(1)
        if numeric := _NUMBERS.get(kind):
            return self.number(*numeric)
        if kind == b"F":
            return self.table("", depth)
        if kind == b"A":
            return self.array(depth)
        if read := _VALUES.get(kind):
            return read(self)
        raise Undecodable("a header of a type that AMQP 0-9-1 does not define")


def _string(reader: _Reader) -> str | bytearray:
    """Invalid UTF-8 is returned as a byte array, the only type that can encode it."""
    value = reader.bytes_(reader.number(">I", 4))
    try:
        return value.decode()
    except UnicodeDecodeError:
        return bytearray(value)


def _floating(form: str, size: int) -> Callable[[_Reader], float | str]:
    """A number; text if the encoder cannot represent it,
    or if RabbitMQ closes the connection over it (NaN).
    """

    def read(reader: _Reader) -> float | str:
        value: float = reader.number(form, size)
        return value if abs(value) <= _SINGLE_MAX else repr(value)

    return read


def _decimal(reader: _Reader) -> str:
    """Text, because the encoder rejects half of the range."""
    scale = reader.number(">B", 1)
    value = reader.number(">I", 4)
    return str(Decimal(value).scaleb(-scale))


_NUMBERS = {
    b"b": (">b", 1), b"B": (">B", 1), b"s": (">h", 2), b"u": (">H", 2),
    b"I": (">i", 4), b"i": (">I", 4), b"l": (">q", 8), b"L": (">q", 8),
}  # fmt: skip
_VALUES: dict[bytes, Callable[[_Reader], Any]] = {
    b"t": lambda reader: bool(reader.number(">B", 1)),
    b"f": _floating(">f", 4),
    b"d": _floating(">d", 8),
    b"D": _decimal,
    b"S": _string,
    b"x": lambda reader: bytearray(reader.bytes_(reader.number(">I", 4))),
    b"T": lambda reader: reader.timestamp("a time in the headers"),
    b"V": lambda _: None,
    b"\x00": lambda _: None,
}


def _octet(reader: _Reader, _: str) -> int:
    return int(reader.number(">B", 1))


# In the order of their flag bits, highest first.
_PROPERTIES: dict[str, Callable[[_Reader, str], Any]] = {
    "content_type": _Reader.short_string,
    "content_encoding": _Reader.short_string,
    "headers": _Reader.table,
    "delivery_mode": _octet,
    "priority": _octet,
    "correlation_id": _Reader.short_string,
    "reply_to": _Reader.short_string,
    "expiration": _Reader.short_string,
    "message_id": _Reader.short_string,
    "timestamp": _Reader.timestamp,
    "message_type": _Reader.short_string,
    "user_id": _Reader.short_string,
    "app_id": _Reader.short_string,
    "cluster_id": _Reader.short_string,
}
