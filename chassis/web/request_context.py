"""The request id, trace and client address of the current request.

A context variable holds them, so that logs, commands and upstream requests can carry them.
"""

import re
from contextvars import ContextVar
from dataclasses import dataclass

from chassis.messaging.identity import new_id
from chassis.telemetry import span_ids

_REQUEST_ID = re.compile(r"^[A-Za-z0-9._-]{8,64}$")
_TRACE = re.compile(r"^00-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}$")


@dataclass(frozen=True, slots=True)
class RequestContext:
    """`traceparent`: the context in which the request is handled (W3C), with the shop's sampling decision.

    `address`: the client's address, according to trusted proxies. `client`: the kind of program that the
    client is; empty if unknown.
    """

    request_id: str
    traceparent: str
    address: str
    client: str = ""


def from_headers(
    request_id: str = "", traceparent: str = "", address: str = "", *, client: str = "", sampled: bool = False
) -> RequestContext:
    """Keeps the given ids if they are well-formed; otherwise creates new ones.

    A client's flag does not decide whether the trace is sampled: sampling costs the shop's time, not its own.
    """
    if not _REQUEST_ID.match(request_id):
        request_id = str(new_id())
    if not _TRACE.match(traceparent):
        traceparent = span_ids.traceparent(span_ids.random_trace_id(), span_ids.random_span_id())
    flagged = traceparent[:-2] + ("01" if sampled else "00")
    return RequestContext(request_id, flagged, address, client=client)


_CURRENT: ContextVar[RequestContext | None] = ContextVar("request_context", default=None)
bind = _CURRENT.set
reset = _CURRENT.reset


def current() -> RequestContext:
    """The context of the current request, or a new one outside of requests."""
    return _CURRENT.get() or from_headers()
