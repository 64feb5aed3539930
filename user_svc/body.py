"""A route that reads no more of a request than any honest one has."""

from collections.abc import Awaitable, Callable
from typing import Any

from fastapi import HTTPException, Request, Response
from fastapi.routing import APIRoute

BODY_BYTES_MAX = 16 * 1024


class BoundedRoute(APIRoute):
    """Answers 413 as soon as the body is too large, whatever its length was said to be."""

    def get_route_handler(self) -> Callable[[Request], Awaitable[Response]]:  # type: ignore[override]
        handle = super().get_route_handler()

        async def bounded(request: Request) -> Response:
            seen = 0

            async def receive() -> Any:
                nonlocal seen
                message = await request.receive()
                seen += len(message.get("body", b""))
                if seen > BODY_BYTES_MAX:
                    raise HTTPException(413, f"at most {BODY_BYTES_MAX} bytes")
                return message

            return await handle(Request(request.scope, receive))

        return bounded
