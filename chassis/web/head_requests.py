"""Answers HEAD like GET, without the body (RFC 9110, section 9.3.2), at every path that has a GET."""

from starlette.datastructures import Headers
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

_STREAM = "text/event-stream"


class HeadAsGet:
    """ASGI middleware. It ends an endless event stream as soon as the response headers are sent."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] != "HEAD":
            await self._app(scope, receive, send)
            return
        as_get = {**scope, "method": "GET"}
        left = False

        async def bodiless(message: Message) -> None:
            nonlocal left
            if left:
                raise OSError("the response to HEAD is complete")  # as if the client had disconnected
            if message["type"] == "http.response.body":
                message = {**message, "body": b""}
            # outer middleware reads the route and the state from it
            if message["type"] == "http.response.start":
                scope.update({name: value for name, value in as_get.items() if name != "method"})
            await send(message)
            if message["type"] == "http.response.start":
                kind = Headers(raw=message.get("headers", [])).get("content-type", "")
                if kind.startswith(_STREAM):
                    left = True
                    await send({"type": "http.response.body", "body": b"", "more_body": False})

        try:
            await self._app(as_get, receive, bodiless)
        except (ClientDisconnect, OSError):
            if not left:
                raise
