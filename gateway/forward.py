"""/ops goes to the operations process, as it comes and for as long as it comes, but for staff only.

Everybody else is told that nothing is there. operations checks the token once more by itself.
"""

from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager
from typing import Annotated

import httpx
from fastapi import APIRouter, Depends, Request
from fastapi.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from gateway.house import House
from gateway.problems import Refusal
from gateway.visitor import Visitor
from gateway.web.showing import THEMES

_METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"]
# Of the connection and not of the message (RFC 9110, section 7.6.1), or not for the other side's eyes.
_STAYS = {
    "connection", "keep-alive", "proxy-authenticate", "proxy-authorization", "te", "trailer", "transfer-encoding",
    "upgrade", "host", "cookie", "set-cookie", "authorization", "x-request-id", "traceparent", "server", "date",
}  # fmt: skip


class Forwarded(StreamingResponse):
    """What comes from there goes on from here; when either side ends, so does the other."""

    def __init__(self, answer: httpx.Response, going_on: AbstractAsyncContextManager[httpx.Response]) -> None:
        super().__init__(answer.aiter_raw(), answer.status_code, _kept(answer.headers))
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
        return Forwarded(await going_on.__aenter__(), going_on)

    return router


def _kept(headers: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in headers.items() if name.lower() not in _STAYS}
