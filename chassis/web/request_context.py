"""The request id, trace and client address of the current request.

A context variable holds them, so that logs, commands and upstream requests can carry them.
"""

import re
from contextvars import ContextVar
from dataclasses import dataclass

from chassis.messaging.identity import new_id

_REQUEST_ID = re.compile(r"^[A-Za-z0-9._-]{8,64}$")
_TRACE = re.compile(r"^00-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}$")


@dataclass(frozen=True, slots=True)
class RequestContext:
    """`traceparent`: W3C trace context. `address`: the client's address, according to trusted proxies."""

    request_id: str
    traceparent: str
    address: str


def from_headers(request_id: str = "", traceparent: str = "", address: str = "") -> RequestContext:
    """Keeps the given ids if they are well-formed; otherwise creates new ones."""
    if not _REQUEST_ID.match(request_id):
        request_id = str(new_id())
    if not _TRACE.match(traceparent):
        traceparent = f"00-{new_id().hex}-{new_id().hex[-16:]}-01"
    return RequestContext(request_id, traceparent, address)


_CURRENT: ContextVar[RequestContext | None] = ContextVar("request_context", default=None)
bind = _CURRENT.set
reset = _CURRENT.reset


def current() -> RequestContext:
    """The context of the current request, or a new one outside of requests."""
    return _CURRENT.get() or from_headers()
