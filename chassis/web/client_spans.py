"""A span for each HTTP request to another service, as a child of the current span.

Without a sampled current span there is none. Attributes as in the conventions for HTTP clients, but without
the URL, which may contain personal data.
"""

from contextlib import AbstractContextManager

import httpx

from chassis.telemetry import tracing
from chassis.telemetry.semantic_conventions import (
    HTTP_METHOD,
    HTTP_STATUS,
    SERVER_ADDRESS,
    SERVER_PORT,
)

_CLIENT_ERROR = 400
_PORTS = {"http": 80, "https": 443}


def client_span(method: str, base_url: httpx.URL) -> AbstractContextManager[tracing.Span | None]:
    """The span of a request, current in its block."""
    attributes: dict[str, tracing.Attribute] = {
        HTTP_METHOD: method,
        SERVER_ADDRESS: base_url.host,
        SERVER_PORT: base_url.port or _PORTS.get(base_url.scheme, 0),
    }
    return tracing.child_span(method, "client", attributes)


def describe_response(span: tracing.Span | None, status: int) -> None:
    if span is not None:
        span.attributes[HTTP_STATUS] = status
        if status >= _CLIENT_ERROR:
            span.fail(str(status))
