"""Ids: time-ordered ones for new things, derived ones where a repetition must produce the same id."""

import os
import re
import time
from uuid import UUID, uuid5

# The namespace is arbitrary but fixed: changing it changes every derived id.
_NAMESPACE = UUID("6f1c4d1e-58a1-5a0b-9d0b-0d0e5a0f7a11")
_DERIVED = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-5[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}")


def new_id() -> UUID:
    """A UUIDv7 (RFC 9562, section 5.7): 48 bits of Unix milliseconds, then 74 random bits."""
    milliseconds = time.time_ns() // 1_000_000
    value = (milliseconds << 80) | int.from_bytes(os.urandom(10), "big")
    value = value & ~(0xF << 76) | (0x7 << 76)  # version
    value = value & ~(0x3 << 62) | (0x2 << 62)  # variant
    return UUID(int=value)


def derived_id(*parts: object) -> str:
    """The same id for the same parts (UUIDv5, RFC 9562 section 5.5)."""
    return str(uuid5(_NAMESPACE, "/".join(str(part) for part in parts)))


def may_be_derived(text: str) -> bool:
    """Whether it could be a derived id. A sender that has the parts can compute such an id in advance."""
    return _DERIVED.fullmatch(text) is not None
