"""A route class with a limit on the request body and strict JSON: duplicate keys and NaN are rejected."""

import json
from collections.abc import Awaitable, Callable
from typing import Any, NoReturn

from fastapi import HTTPException, Request, Response
from fastapi.routing import APIRoute

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


class StrictJsonRequest(Request):
    """With a field twice, readers differ about which one counts; NaN and infinity are not JSON at all."""

    async def json(self) -> Any:
        return json.loads(await self.body(), object_pairs_hook=_unique_keys, parse_constant=_reject_constant)


def _unique_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    fields = dict(pairs)
    if len(fields) < len(pairs):
        raise HTTPException(422, "body: a field is given twice; give it once")
    return fields


def _reject_constant(word: str) -> NoReturn:
    raise HTTPException(422, f"body: {word} is no number in JSON")
