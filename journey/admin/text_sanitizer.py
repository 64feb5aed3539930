"""Makes text from untrusted messages safe to display."""

import json
from base64 import b64decode
from collections.abc import Mapping
from typing import Any

from chassis.messaging.envelope import RAW_PROPERTIES
from chassis.messaging.untrusted import shortened

_HEADER_BYTES_MAX = 4_000


def plain(text: str, *, lines: bool = False) -> str:
    """Replace control characters, so that a terminal does not execute escape sequences."""
    return "".join(char if char.isprintable() or (lines and char == "\n") else "�" for char in text)


def pretty(body: str | bytes, chars_max: int, besides: str = "") -> str:
    """Format a payload, JSON or not. `besides`: what to append if it is truncated."""
    try:
        text = json.dumps(json.loads(body), indent=2, ensure_ascii=False)
    except (ValueError, RecursionError):
        text = body.decode(errors="replace") if isinstance(body, bytes) else body
    shown = plain(text[:chars_max], lines=True)
    return shown if len(text) <= chars_max else f"{shown}\n… of {len(text):,} characters{besides}"


def headers_shown(headers: Mapping[str, Any]) -> dict[str, str]:
    """Header names and values as text. Properties that could not be decoded are shown as escaped bytes."""
    shown = {name: _escaped(value) if name == RAW_PROPERTIES else value for name, value in headers.items()}
    return {shortened(name): shortened(value, _HEADER_BYTES_MAX) for name, value in shown.items()}


def _escaped(base64: object) -> str:
    try:
        return repr(b64decode(str(base64)))[2:-1]
    except ValueError:
        return str(base64)
