"""Masks secrets and personal data in all log lines, including those of libraries.

Code must not log them in the first place; this is the second line of defence. Two rules: a field whose name
says that it is secret or personal is masked whole, and in every other text the parts that look like an e-mail
address, a token, a card token or a password in a URL are masked.
"""

import re
from collections.abc import Mapping
from typing import Any

from structlog.types import EventDict

MASK = "[redacted]"
_NAMES = re.compile(
    r"passw|secret|token|authorization|cookie|credential|api_?key|e_?mail|recipient|(?:^|_)card|(?:^|_)body"
    r"|street|phone|(?:^|_)address$",
    re.IGNORECASE,
)
_TEXTS = (
    (re.compile(r"[\w.+%-]+@[\w-]+(?:\.[\w-]+)+"), MASK),  # e-mail address
    (re.compile(r"\beyJ[\w-]+\.[\w-]+(?:\.[\w-]*)?"), MASK),  # JSON Web Token (RFC 7519)
    (re.compile(r"\b(Bearer|Basic) +[\w.~+/=-]+", re.IGNORECASE), rf"\1 {MASK}"),  # RFC 9110, section 11
    (re.compile(r"\btok_\w+"), MASK),  # card token
    (re.compile(r"(://[^:/@\s]*):[^@/\s]+@"), rf"\1:{MASK}@"),  # password in a URL
    # pydantic repeats the input in the texts of its errors
    (re.compile(r"input_value=.*?(?=, input_type=|$)", re.DOTALL), f"input_value={MASK}"),
)
_DEPTH_MAX = 5


def redact(logger: Any, method: str, event: EventDict) -> EventDict:
    """A structlog processor. It goes after those that turn exceptions into text."""
    return {name: _field(name, value, 0) for name, value in event.items()}


def redacted_text(text: str) -> str:
    """The text without what looks like a secret or an address."""
    for pattern, mask in _TEXTS:
        text = pattern.sub(mask, text)
    return text


def _field(name: str, value: Any, depth: int) -> Any:
    if value and _NAMES.search(name) and not isinstance(value, bool | int | float):
        return MASK
    return _value(value, depth)


def _value(value: Any, depth: int) -> Any:
    if value is None or isinstance(value, bool | int | float):
        return value
    if depth > _DEPTH_MAX:
        return MASK
    if isinstance(value, Mapping):
        return {str(name): _field(str(name), each, depth + 1) for name, each in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_value(each, depth + 1) for each in value]
    return redacted_text(value if isinstance(value, str) else repr(value))
