"""The metrics of an HTTP server: how long each request waits for the beginning of its response."""

import time
from typing import Literal

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from chassis.messaging.untrusted import traceparent
from chassis.telemetry import metrics
from chassis.telemetry.exemplars import trace_exemplar

Listener = Literal["public", "internal"]
NO_ROUTE = "none"
OTHER_METHOD = "_OTHER"  # the name that the HTTP semantic conventions give
METHODS = frozenset(("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"))


class RequestMetrics:
    """ASGI middleware. It must be the outermost one to see all responses."""

    def __init__(self, app: ASGIApp, service: str, listener: Listener) -> None:
        self._app = app
        self._service = service
        self._listener: Listener = listener

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self._app(scope, receive, send)
        began = time.perf_counter()
        responded = False

        def record(status: int) -> None:
            nonlocal responded
            responded = True
            record_request(
                scope,
                status,
                time.perf_counter() - began,
                service=self._service,
                listener=self._listener,
                trace=traceparent(Headers(scope=scope).get("traceparent")),
            )

        async def send_and_record(message: Message) -> None:
            if message["type"] == "http.response.start":
                record(message["status"])
            await send(message)

        try:
            await self._app(scope, receive, send_and_record)
        except Exception:
            if not responded:  # the server error handler, further out, will respond
                record(500)
            raise


def record_request(
    scope: Scope, status: int, duration_s: float, *, service: str, listener: Listener, trace: str
) -> None:
    """Labelled by route pattern and known method, because the number of paths is unbounded.

    `trace`: the request's traceparent, or empty.
    """
    labels = (service, listener, method_label(scope["method"]), route_label(scope), status)
    metrics.HTTP_SERVER_DURATION.labels(*labels).observe(duration_s, trace_exemplar(trace))


def method_label(method: str) -> str:
    return method if method in METHODS else OTHER_METHOD


def route_label(scope: Scope) -> str:
    """The pattern of the matched route, which the router has written into the scope."""
    return getattr(scope.get("route"), "path", "") or NO_ROUTE
