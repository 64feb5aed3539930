"""A route class with a limit on the request body and strict JSON."""

from collections.abc import Awaitable, Callable
from typing import Any

from fastapi import HTTPException, Request, Response
from fastapi.routing import APIRoute

from chassis.web.strict_json import StrictJsonRequest
from user_svc.http.errors import HANDLED_ERRORS, error_response

BODY_BYTES_MAX = 16 * 1024


class BoundedRoute(APIRoute):
    """Responds with 413 as soon as the body is too large, whatever its Content-Length says."""

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

            try:
                return await handle(StrictJsonRequest(request.scope, receive))
            except HANDLED_ERRORS as error:
                return error_response(error)

        return bounded
