"""/ops goes to the operations process, as it comes and for as long as it comes, but for staff only.

Everybody else is told that nothing is there. operations checks the token once more by itself.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager
from typing import Annotated

import httpx
from fastapi import APIRouter, Depends, Request
from fastapi.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from chassis.store import StoreUnavailable
from contracts.access import NotValid
from gateway.house import House
from gateway.problems import Refusal
from gateway.upstream import Away
from gateway.visitor import Visitor
from gateway.web.showing import THEMES

_CHECK_S = 1.0
_METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"]
# Of the connection and not of the message (RFC 9110, section 7.6.1), or not for the other side's eyes.
_STAYS = {
    "connection", "keep-alive", "proxy-authenticate", "proxy-authorization", "te", "trailer", "transfer-encoding",
    "upgrade", "host", "cookie", "set-cookie", "authorization", "x-request-id", "traceparent", "server", "date",
}  # fmt: skip


class Forwarded(StreamingResponse):
    """What comes from there goes on from here; when either side ends, so does the other.

    `may_stay`: whether its reader still is staff. A page that is read for long, as a stream is, ends when that ends.
    """

    def __init__(
        self,
        answer: httpx.Response,
        going_on: AbstractAsyncContextManager[httpx.Response],
        may_stay: Callable[[], Awaitable[bool]],
    ) -> None:
        super().__init__(_while(answer.aiter_raw(), may_stay), answer.status_code, _kept(answer.headers))
        self._going_on = going_on

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            await self._going_on.__aexit__(None, None, None)


def routes(house: House) -> APIRouter:
    router = house.pages()

    @router.api_route("/ops", methods=_METHODS)
    @router.api_route("/ops/{rest:path}", methods=_METHODS)
    async def operations(request: Request, staff: Annotated[Visitor, Depends(house.staff)]) -> Forwarded:
        if not house.settings.operations_url:
            raise Refusal("not-found")
        assert staff.access_token is not None, "nobody is believed to be staff without one"
        theme = request.cookies.get("theme", "")
        headers = _kept(request.headers) | {"x-theme": theme if theme in THEMES else ""}  # cookies stay here
        path = request.url.path + (f"?{request.url.query}" if request.url.query else "")
        body = None if request.method in ("GET", "HEAD") else request.stream()
        going_on = house.operations.stream(
            request.method, path, content=body, headers=headers, token=staff.access_token
        )

        async def may_stay() -> bool:
            return await _is_staff(house, request)

        return Forwarded(await going_on.__aenter__(), going_on, may_stay)

    return router


async def _is_staff(house: House, request: Request) -> bool:
    """Asked again while a stream is open. Where that cannot be found out, staff pages end rather than go on."""
    try:
        visitor = await house.identified(request)
    except (NotValid, Away, StoreUnavailable):
        return False
    return visitor is not None and visitor.is_staff


async def _while(chunks: AsyncIterator[bytes], may_stay: Callable[[], Awaitable[bool]]) -> AsyncIterator[bytes]:
    """The chunks as they come. Who reads is checked again every second, also while nothing comes."""
    clock = asyncio.get_running_loop().time
    checked_at, coming = clock(), asyncio.ensure_future(anext(chunks, None))
    try:
        while True:
            await asyncio.wait({coming}, timeout=_CHECK_S)
            if clock() - checked_at >= _CHECK_S:
                if not await may_stay():
                    return
                checked_at = clock()
            if coming.done():
                if (chunk := coming.result()) is None:
                    return
                yield chunk
                coming = asyncio.ensure_future(anext(chunks, None))
    finally:
        coming.cancel()


def _kept(headers: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in headers.items() if name.lower() not in _STAYS}
