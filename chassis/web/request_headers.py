"""One value for each request header, however many lines carry it (RFC 9110, sections 5.2 and 5.3).

Frameworks read only the first line. If a proxy appends a second `X-Forwarded-For` line, a client could then
choose its own address, and two readers of one request could see two different credentials.
"""

from collections.abc import Callable, Iterable

from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

RawHeaders = Iterable[tuple[bytes, bytes]]

# Fields that are defined as lists: their lines are joined in order.
LISTS = frozenset(
    (
        b"accept",
        b"accept-charset",
        b"accept-encoding",
        b"accept-language",
        b"cache-control",
        b"connection",
        b"forwarded",
        b"if-match",
        b"if-none-match",
        b"pragma",
        b"te",
        b"trailer",
        b"transfer-encoding",
        b"upgrade",
        b"via",
        b"x-forwarded-for",
        b"x-forwarded-host",
        b"x-forwarded-proto",
    )
)
# HTTP/2 may split this field; it has a separator of its own (RFC 9113, section 8.2.3).
_COOKIE = b"cookie"
# Identifiers that only serve logs and traces: an ambiguous one is dropped and replaced.
OPTIONAL = frozenset((b"traceparent", b"tracestate", b"x-request-id"))


def one_line_each(raw: RawHeaders) -> tuple[list[tuple[bytes, bytes]], str]:
    """The headers with one line per name, and the reason to reject the request, if there is one.

    A single-value field that came in several lines is left out, because it is ambiguous which line counts.
    """
    values: dict[bytes, list[bytes]] = {}
    for name, value in raw:
        values.setdefault(name.lower(), []).append(value)
    lines: list[tuple[bytes, bytes]] = []
    objection = ""
    for name, given in values.items():
        if len(given) == 1:
            lines.append((name, given[0]))
        elif name in LISTS:
            lines.append((name, b", ".join(given)))
        elif name == _COOKIE:
            lines.append((name, b"; ".join(given)))
        elif name not in OPTIONAL:
            objection = f"the header {name.decode('latin-1')} came {len(given)} times; send it once"
    return lines, objection


class OneLineEach:
    """ASGI middleware that gives its app unambiguous headers.

    `refuse` builds the response to other requests.
    """

    def __init__(self, app: ASGIApp, refuse: Callable[[str], Response]) -> None:
        self._app = app
        self._refuse = refuse

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            lines, objection = one_line_each(scope["headers"])
            if objection:
                await self._refuse(objection)(scope, receive, send)
                return
            scope["headers"] = lines  # in place: outer middleware reads the route from the same scope
        await self._app(scope, receive, send)
