"""What every request passes before anything looks at it, and every answer on its way out. Plain ASGI: streams flow on.

In: an id and a trace; no claims about who somebody is; no body without end; no change on behalf of another site.
Out: the id, the headers that keep a browser safe, a place in the figures; also on errors and static files.
"""

import asyncio
import time
from collections.abc import Callable
from ipaddress import ip_network

import structlog
from prometheus_client import Counter, Histogram
from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from chassis import telemetry
from chassis.request_headers import one_line_each
from gateway import arrival
from gateway.client_address import client_address
from gateway.cookies import Cookies
from gateway.problems import Refusal
from gateway.settings import GatewaySettings

BODY_BYTES_MAX = 64 * 1024
_SAFE = ("GET", "HEAD", "OPTIONS", "TRACE")
# By these others would believe somebody to be what they only say they are.
_CLAIMS = (b"forwarded", b"x-client", b"x-forwarded", b"x-original", b"x-real-ip", b"x-role", b"x-service", b"x-user")
CONTENT_SECURITY_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self';"
    " form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
_PROTECTING = {
    "Content-Security-Policy": CONTENT_SECURITY_POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=(), payment=()",
}
ANSWERED = Counter("journey_door_answers_total", "Answers of the public door", ["route", "method", "status"])
TOOK_S = Histogram("journey_door_seconds", "How long an answer took to begin", ["route"])

Refuse = Callable[[Request, Refusal], Response]


class Threshold:
    """`refuse` makes the answer that says no, in the form that suits who asked."""

    def __init__(self, app: ASGIApp, settings: GatewaySettings, cookies: Cookies, refuse: Refuse) -> None:
        self._app, self._settings, self._cookies, self._refuse = app, settings, cookies, refuse
        self._proxies = [ip_network(network) for network in settings.trusted_proxies]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self._app(scope, receive, send)
        scope = {**scope}
        scope["headers"], objection = one_line_each(scope["headers"])
        headers = Headers(scope=scope)
        peer = scope["client"][0] if scope.get("client") else ""
        address = client_address(headers.get("x-forwarded-for", ""), peer, self._proxies)
        here = arrival.arrived(headers.get("x-request-id", ""), headers.get("traceparent", ""), address)
        scope["headers"] = [pair for pair in scope["headers"] if not pair[0].lower().startswith(_CLAIMS)]
        entered = arrival.enter(here)
        try:
            with structlog.contextvars.bound_contextvars(request_id=here.request_id):
                await self._answer(scope, _bounded(receive), send, objection)
        finally:
            arrival.leave(entered)

    async def _answer(self, scope: Scope, receive: Receive, send: Send, ambiguous: str) -> None:
        began, status = time.perf_counter(), 0
        refusal: Refusal | None = None

        async def sending(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                if refusal is None:
                    limit.reschedule(None)  # from now on it may be a stream
                self._equip(scope, message)
                _count(scope, status, time.perf_counter() - began)
            await send(message)

        try:
            async with asyncio.timeout(self._settings.request_s_max) as limit:
                if refusal := self._objection(Request(scope), ambiguous):
                    await self._refuse(Request(scope), refusal)(scope, receive, sending)
                else:
                    await self._app(scope, receive, sending)
        except ClientDisconnect:
            telemetry.log.debug("whoever asked has left", path=scope["path"])
        except TimeoutError:
            telemetry.log.warning("gave up on a request", path=scope["path"])
            refusal = Refusal("away", headers={"Retry-After": "2"})
        except Exception:
            telemetry.log.exception("a request failed", path=scope["path"])
            refusal = Refusal("failed")
        if refusal is not None and not status:
            await self._refuse(Request(scope), refusal)(scope, receive, sending)

    def _objection(self, request: Request, ambiguous: str) -> Refusal | None:
        if ambiguous:
            return Refusal("malformed", ambiguous)
        length = request.headers.get("content-length", "0")
        if not length.isdecimal() or int(length) > BODY_BYTES_MAX:
            return Refusal("too-large")
        if request.method not in _SAFE and self._is_cross_site(request):
            return Refusal("cross-site")
        return None

    def _is_cross_site(self, request: Request) -> bool:
        """Whether a page of another site may have sent this. A program has no cookies, and may come from anywhere."""
        site, origin = request.headers.get("sec-fetch-site"), request.headers.get("origin")
        has_cookies = self._cookies.has_ours(request)
        if not has_cookies and ("authorization" in request.headers or origin in self._settings.cors_origins):
            return False
        if site is not None:
            return site not in ("same-origin", "none")
        if origin is not None:
            host = request.headers.get("host", "")
            own = (self._settings.public_url,) if self._settings.public_url else (f"http://{host}", f"https://{host}")
            return origin not in own
        return has_cookies

    def _equip(self, scope: Scope, message: Message) -> None:
        headers = MutableHeaders(scope=message)
        for name, value in _PROTECTING.items():
            headers.setdefault(name, value)
        if self._settings.public_url.startswith("https://"):
            headers.setdefault("Strict-Transport-Security", "max-age=31536000")
        headers.setdefault("Cache-Control", "public, max-age=300" if _is_static(scope) else "no-store")
        headers["X-Request-Id"] = arrival.current().request_id
        state = scope.get("state", {})
        for name, value in state.get("rate_limit", {}).items():
            headers[name] = value
        if cookie := state.get("new_cookie"):
            _lengthen(headers, cookie)


def _bounded(receive: Receive) -> Receive:
    """However long the body was said to be."""
    seen = 0

    async def bounded() -> Message:
        nonlocal seen
        message = await receive()
        seen += len(message.get("body", b""))
        if seen > BODY_BYTES_MAX:
            raise Refusal("too-large")
        return message

    return bounded


def _lengthen(headers: MutableHeaders, cookie: str) -> None:
    """The session was renewed, so its cookie lives on, too. What is shared has no cookies, and a log-out clears it."""
    name = cookie.partition("=")[0]
    set_already = any(each.startswith(f"{name}=") for each in headers.getlist("set-cookie"))
    if not set_already and "public" not in headers.get("cache-control", ""):
        headers.append("Set-Cookie", cookie)


def _is_static(scope: Scope) -> bool:
    return bool(scope["path"].startswith("/static/"))


def _count(scope: Scope, status: int, took_s: float) -> None:
    """By the route's pattern: paths are without number."""
    route = getattr(scope.get("route"), "path", "") or "none"
    method = scope["method"] if scope["method"] in (*_SAFE, "POST", "PUT", "DELETE", "PATCH") else "other"
    ANSWERED.labels(route, method, status).inc()
    TOOK_S.labels(route).observe(took_s)
