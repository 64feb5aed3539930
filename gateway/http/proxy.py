"""Proxies /ops to the operations process as a stream, for staff only.

Other users and guests get a 404. operations verifies the token again.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager
from typing import Annotated, Protocol

import httpx
from fastapi import APIRouter, Depends, Request
from fastapi.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from chassis.store.protocol import StoreUnavailable
from chassis.web.http_client import UpstreamClient, UpstreamUnavailable
from contracts.http.access import NotValid
from gateway.http.problems import ProblemError
from gateway.settings import GatewaySettings
from gateway.web.templating import THEMES, PageUser

CHECK_S = 1.0
_EVENT_STREAM = "text/event-stream"
_METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"]
# Hop-by-hop headers (RFC 9110, section 7.6.1), and headers that must not pass between browser and operations.
_NOT_FORWARDED = {
    "connection", "keep-alive", "proxy-authenticate", "proxy-authorization", "te", "trailer",
    "transfer-encoding", "upgrade",
    "host", "cookie", "set-cookie", "authorization", "x-request-id", "traceparent", "server", "date",
}  # fmt: skip


class StaffUser(PageUser, Protocol):
    """See gateway.auth.principal.Principal."""

    @property
    def access_token(self) -> str | None: ...


class ProxyDependencies(Protocol):
    """What the proxy needs. `operations`: the client of the operations process."""

    settings: GatewaySettings
    operations: UpstreamClient

    def page_router(self, prefix: str = "") -> APIRouter: ...

    async def require_staff(self, request: Request) -> StaffUser: ...

    async def identify(self, request: Request) -> StaffUser | None: ...


class ProxyResponse(StreamingResponse):
    """Relays the upstream response. When one side closes, the other is closed, too.

    `may_continue`: returns whether the reader is still staff. Otherwise the response is cut off.
    """

    def __init__(
        self,
        response: httpx.Response,
        exchange: AbstractAsyncContextManager[httpx.Response],
        may_continue: Callable[[], Awaitable[bool]],
    ) -> None:
        is_event_stream = response.headers.get("Content-Type", "").startswith(_EVENT_STREAM)
        super().__init__(
            relay(response.aiter_raw(), may_continue, is_event_stream=is_event_stream),
            response.status_code,
            _forwarded_headers(response.headers),
        )
        self._exchange = exchange

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            await self._exchange.__aexit__(None, None, None)


def routes(deps: ProxyDependencies) -> APIRouter:
    router = deps.page_router()

    @router.api_route("/ops", methods=_METHODS)
    @router.api_route("/ops/{rest:path}", methods=_METHODS)
    async def operations(
        request: Request, user: Annotated[StaffUser, Depends(deps.require_staff)]
    ) -> ProxyResponse:
        if not deps.settings.operations_url:
            raise ProblemError("not-found")
        assert user.access_token is not None, "the staff role requires an access token"
        theme = request.cookies.get("theme", "")
        headers = _forwarded_headers(request.headers) | {
            "x-theme": theme if theme in THEMES else ""
        }  # cookies are not forwarded
        path = request.url.path + (f"?{request.url.query}" if request.url.query else "")
        body = None if request.method in ("GET", "HEAD") else request.stream()
        exchange = deps.operations.stream(
            request.method, path, content=body, headers=headers, token=user.access_token
        )

        async def may_continue() -> bool:
            return await _is_staff(deps, request)

        return ProxyResponse(await exchange.__aenter__(), exchange, may_continue)

    return router


async def _is_staff(deps: ProxyDependencies, request: Request) -> bool:
    """Checks the role again while a stream is open. A failed check ends the stream."""
    try:
        user = await deps.identify(request)
    except (NotValid, UpstreamUnavailable, StoreUnavailable):
        return False
    return user is not None and user.is_staff


class AccessEnded(Exception):
    """The reader is no longer staff. The connection is closed without an end of the response."""


async def relay(
    chunks: AsyncIterator[bytes], may_continue: Callable[[], Awaitable[bool]], *, is_event_stream: bool
) -> AsyncIterator[bytes]:
    """Yields the chunks, and checks the reader's role every second, also while no chunk arrives.

    An event stream just ends; its reader asks again. The end of any other response would look like a complete
    one, so it raises AccessEnded.
    """
    clock = asyncio.get_running_loop().time
    checked_at, coming = clock(), asyncio.ensure_future(anext(chunks, None))
    try:
        while True:
            await asyncio.wait({coming}, timeout=CHECK_S)
            if clock() - checked_at >= CHECK_S:
                if not await may_continue():
                    if is_event_stream:
                        return
                    raise AccessEnded
                checked_at = clock()
            if coming.done():
                if (chunk := coming.result()) is None:
                    return
                yield chunk
                coming = asyncio.ensure_future(anext(chunks, None))
    finally:
        coming.cancel()


def _forwarded_headers(headers: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in headers.items() if name.lower() not in _NOT_FORWARDED}
