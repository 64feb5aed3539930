"""The outermost middleware. It is plain ASGI, so that it does not buffer streams.

Request: sets the request id and trace, removes spoofable headers, limits the body, rejects cross-site
changes. Response: adds the request id and security headers, and records request metrics, also for errors and
static files.
"""

import asyncio
import time
from collections.abc import Callable
from functools import partial
from ipaddress import ip_network

import structlog
from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from chassis import telemetry
from chassis.telemetry import tracing
from chassis.web import request_context
from chassis.web.request_headers import one_line_each
from chassis.web.request_metrics import record_request, route_label
from chassis.web.server_spans import edge_span, serve
from gateway.http.client_address import client_address
from gateway.http.client_name import client_name
from gateway.http.cookies import Cookies
from gateway.http.problems import ProblemError
from gateway.settings import GatewaySettings

BODY_BYTES_MAX = 64 * 1024
_SAFE = ("GET", "HEAD", "OPTIONS", "TRACE")
# Prefixes of headers that internal services trust, so clients may not send them.
_SPOOFABLE_HEADERS = (
    b"forwarded",
    b"x-client",
    b"x-forwarded",
    b"x-original",
    b"x-real-ip",
    b"x-role",
    b"x-service",
    b"x-user",
)
CONTENT_SECURITY_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self';"
    " form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
_SECURITY_HEADERS = {
    "Content-Security-Policy": CONTENT_SECURITY_POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=(), payment=()",
}
RenderProblem = Callable[[Request, ProblemError], Response]


class EdgeMiddleware:
    """`render_problem` creates the error response: problem details for API clients, a page for browsers."""

    def __init__(
        self, app: ASGIApp, settings: GatewaySettings, cookies: Cookies, render_problem: RenderProblem
    ) -> None:
        self._app = app
        self._settings = settings
        self._cookies = cookies
        self._render_problem = render_problem
        self._proxies = [ip_network(network) for network in settings.trusted_proxies]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self._app(scope, receive, send)
        scope = {**scope}
        scope["headers"], ambiguous_header = one_line_each(scope["headers"])
        headers = Headers(scope=scope)
        peer = scope["client"][0] if scope.get("client") else ""
        address = client_address(headers.get("x-forwarded-for", ""), peer, self._proxies)
        given = headers.get("traceparent", "")
        context = request_context.from_headers(
            headers.get("x-request-id", ""),
            given,
            address,
            client=client_name(headers.get("user-agent", "")),
            sampled=tracing.STATE.decide(),
        )
        scope["headers"] = [
            pair for pair in scope["headers"] if not pair[0].lower().startswith(_SPOOFABLE_HEADERS)
        ]
        token = request_context.bind(context)
        try:
            with structlog.contextvars.bound_contextvars(request_id=context.request_id):
                handle = partial(self._handle, ambiguous_header=ambiguous_header)
                span = edge_span("gateway", context.traceparent, given)
                await serve(handle, scope, _limit_body(receive), send=send, span=span)
        finally:
            request_context.reset(token)

    async def _handle(self, scope: Scope, receive: Receive, send: Send, ambiguous_header: str) -> None:
        started_at, status = time.perf_counter(), 0
        problem: ProblemError | None = None

        async def send_with_headers(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                if problem is None:
                    limit.reschedule(None)  # the time limit does not apply to the body, which may be a stream
                self._add_headers(scope, message)
                duration_s = time.perf_counter() - started_at
                trace = request_context.current().traceparent
                record_request(scope, status, duration_s, service="gateway", listener="public", trace=trace)
            await send(message)

        try:
            async with asyncio.timeout(self._settings.request_s_max) as limit:
                if problem := self._find_problem(Request(scope), ambiguous_header):
                    await self._render_problem(Request(scope), problem)(scope, receive, send_with_headers)
                else:
                    await self._app(scope, receive, send_with_headers)
        except ClientDisconnect:
            telemetry.log.debug("client disconnected", route=route_label(scope))
        except TimeoutError:
            telemetry.log.warning("request timed out", route=route_label(scope))
            problem = ProblemError("away", headers={"Retry-After": "2"})
        except Exception:
            telemetry.log.exception("a request failed", route=route_label(scope))
            problem = ProblemError("failed")
        if problem is not None and not status:
            await self._render_problem(Request(scope), problem)(scope, receive, send_with_headers)

    def _find_problem(self, request: Request, ambiguous_header: str) -> ProblemError | None:
        if ambiguous_header:
            return ProblemError("malformed", ambiguous_header)
        length = request.headers.get("content-length", "0")
        if not length.isdecimal() or int(length) > BODY_BYTES_MAX:
            return ProblemError("too-large")
        if request.method not in _SAFE and self._is_cross_site(request):
            return ProblemError("cross-site")
        return None

    def _is_cross_site(self, request: Request) -> bool:
        """Whether a page of another site may have sent the request. A token without cookies exempts it."""
        site, origin = request.headers.get("sec-fetch-site"), request.headers.get("origin")
        has_cookies = self._cookies.has_shop_cookie(request)
        if not has_cookies and ("authorization" in request.headers or origin in self._settings.cors_origins):
            return False
        if site is not None:
            return site not in ("same-origin", "none")
        if origin is not None:
            host = request.headers.get("host", "")
            own = (
                (self._settings.public_url,)
                if self._settings.public_url
                else (f"http://{host}", f"https://{host}")
            )
            return origin not in own
        return has_cookies

    def _add_headers(self, scope: Scope, message: Message) -> None:
        headers = MutableHeaders(scope=message)
        for name, value in _SECURITY_HEADERS.items():
            headers.setdefault(name, value)
        if self._settings.public_url.startswith("https://"):
            headers.setdefault("Strict-Transport-Security", "max-age=31536000")
        headers.setdefault("Cache-Control", "public, max-age=300" if _is_static(scope) else "no-store")
        headers["X-Request-Id"] = request_context.current().request_id
        state = scope.get("state", {})
        for name, value in state.get("rate_limit", {}).items():
            headers[name] = value
        if cookie := state.get("new_cookie"):
            _renew_cookie(headers, cookie)


def _limit_body(receive: Receive) -> Receive:
    """Enforces BODY_BYTES_MAX on the bytes received, also without or with a wrong Content-Length."""
    seen = 0

    async def limited_receive() -> Message:
        nonlocal seen
        message = await receive()
        seen += len(message.get("body", b""))
        if seen > BODY_BYTES_MAX:
            raise ProblemError("too-large")
        return message

    return limited_receive


def _renew_cookie(headers: MutableHeaders, cookie: str) -> None:
    """Extends the cookie of a renewed session, except on publicly cached responses and after a logout."""
    name = cookie.partition("=")[0]
    set_already = any(each.startswith(f"{name}=") for each in headers.getlist("set-cookie"))
    if not set_already and "public" not in headers.get("cache-control", ""):
        headers.append("Set-Cookie", cookie)


def _is_static(scope: Scope) -> bool:
    return bool(scope["path"].startswith("/static/"))
