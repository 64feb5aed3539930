"""A span for each HTTP request, at every HTTP server of a process."""

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from chassis.messaging.untrusted import traceparent
from chassis.telemetry import tracing
from chassis.telemetry.semantic_conventions import HTTP_METHOD, HTTP_ROUTE, HTTP_STATUS, URL_SCHEME

_METHODS = ("GET", "HEAD", "OPTIONS", "TRACE", "POST", "PUT", "PATCH", "DELETE", "CONNECT")
_SERVER_ERROR = 500
_EXEMPT = ("/healthz", "/readyz", "/metrics")  # machines poll them


class ServerSpans:
    """ASGI middleware of an internal HTTP server: its callers decide whether a request is sampled."""

    def __init__(self, app: ASGIApp, service: str) -> None:
        self._app = app
        self._service = service

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["path"] not in _EXEMPT:
            context = traceparent(Headers(scope=scope).get("traceparent", ""))
            if context:
                span = tracing.server_span(self._service, context, has_caller=True)
                await serve(self._app, scope, receive, send=send, span=span)
                return
        await self._app(scope, receive, send)


async def serve(app: ASGIApp, scope: Scope, receive: Receive, *, send: Send, span: tracing.Span) -> None:
    """Run an ASGI application as this span, and end it with the response."""
    with span:
        if not span.sampled:
            await app(scope, receive, send)
            return
        status = 0

        async def observed(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await app(scope, receive, observed)
        finally:
            _describe(span, scope, status)


def edge_span(service: str, context: str, given: str) -> tracing.Span:
    """The span of a client's request in the trace of `context`. `given`: the client's own traceparent."""
    return tracing.server_span(service, context, has_caller=context[:-2] == given[:-2])


def _describe(span: tracing.Span, scope: Scope, status: int) -> None:
    """Name and attributes as in the conventions for HTTP servers.

    No path, query or address: they may contain personal data or a token.
    """
    route = getattr(scope.get("route"), "path", "")
    method = scope["method"] if scope["method"] in _METHODS else "_OTHER"
    span.name = f"{method} {route}".strip()
    span.attributes |= {HTTP_METHOD: method, URL_SCHEME: scope.get("scheme", "http")}
    if route:
        span.attributes[HTTP_ROUTE] = route
    if status:
        span.attributes[HTTP_STATUS] = status
    if status >= _SERVER_ERROR:
        span.fail(str(status))
