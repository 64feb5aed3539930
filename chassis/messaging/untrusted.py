"""Makes untrusted input of senders safe to display, to log, or to put into a property."""

import re
from collections.abc import Mapping
from typing import Any

NAME_BYTES_MAX = 255  # the limit of an AMQP short string
_COUNT_MAX = 1_000_000
_TRACEPARENT = re.compile(r"(?!ff)[0-9a-f]{2}-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}")


def shortened(value: object, bytes_max: int = NAME_BYTES_MAX) -> str:
    """One line without control characters or lone surrogates, at most `bytes_max` bytes of UTF-8; truncated,
    it ends in …
    """
    text = str(value)
    cut = text[: bytes_max + 1]
    shown = cut if cut.isprintable() else "".join(char if char.isprintable() else "�" for char in cut)
    encoded = shown.encode()
    if len(encoded) <= bytes_max:
        return shown
    return encoded[: bytes_max - len("…".encode())].decode(errors="ignore") + "…"


def text(value: object, chars_max: int) -> str:
    """A text header; empty if the value is no text, or too long."""
    return value if isinstance(value, str) and len(value) <= chars_max else ""


def traceparent(value: object) -> str:
    """A W3C traceparent; empty if invalid, because the messages that this one causes carry its trace on."""
    return value if isinstance(value, str) and _TRACEPARENT.fullmatch(value) else ""


def count(value: object) -> int:
    """A count from an untrusted sender: 0 if it is no positive integer, and at most a million."""
    return min(value, _COUNT_MAX) if isinstance(value, int) and value > 0 else 0


def headers_bytes(headers: Mapping[str, Any]) -> int:
    """Their approximate size on the wire."""
    return sum(len(key.encode(errors="replace")) + 1 + _value_bytes(value) for key, value in headers.items())


def _value_bytes(value: Any) -> int:
    match value:
        case str():
            return 5 + len(value.encode(errors="replace"))
        case bytes() | bytearray():
            return 5 + len(value)
        case Mapping():
            return 5 + headers_bytes(value)
        case list():
            return 5 + sum(map(_value_bytes, value))
        case _:
            return 9
