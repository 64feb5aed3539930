"""What is known of a request from its first moment: its id, its trace, and from where it came.

A context variable holds it, so that whatever is asked or said on behalf of the request can name it.
"""

import re
from contextvars import ContextVar
from dataclasses import dataclass

from contracts.identity import new_id

_REQUEST_ID = re.compile(r"^[A-Za-z0-9._-]{8,64}$")
_TRACE = re.compile(r"^00-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}$")


@dataclass(frozen=True, slots=True)
class Arrival:
    """`address`: of the client, as far as trusted proxies tell it."""

    request_id: str
    traceparent: str
    address: str


def arrived(request_id: str = "", traceparent: str = "", address: str = "") -> Arrival:
    """With the ids that came along, if they look like ids; else with new ones."""
    if not _REQUEST_ID.match(request_id):
        request_id = str(new_id())
    if not _TRACE.match(traceparent):
        traceparent = f"00-{new_id().hex}-{new_id().hex[-16:]}-01"
    return Arrival(request_id, traceparent, address)


_CURRENT: ContextVar[Arrival | None] = ContextVar("arrival", default=None)
enter, leave = _CURRENT.set, _CURRENT.reset


def current() -> Arrival:
    """Of the request that is being answered; one of its own for what nobody asked for."""
    return _CURRENT.get() or arrived()
