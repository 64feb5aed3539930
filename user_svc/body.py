"""A route that reads no more of a request than any honest one has, and believes no JSON that says two things."""

import json
from collections.abc import Awaitable, Callable
from typing import Any, NoReturn

from fastapi import HTTPException, Request, Response
from fastapi.routing import APIRoute

from user_svc.refusals import REFUSALS, answer

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

            try:
                return await handle(StrictRequest(request.scope, receive))
            except REFUSALS as refusal:
                return answer(refusal)

        return bounded


class StrictRequest(Request):
    """With a field twice, readers differ about which one counts; NaN and infinity are not JSON at all."""

    async def json(self) -> Any:
        return json.loads(await self.body(), object_pairs_hook=_once_each, parse_constant=_no_number)


def _once_each(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    fields = dict(pairs)
    if len(fields) < len(pairs):
        raise HTTPException(422, "body: a field is given twice; give it once")
    return fields


def _no_number(word: str) -> NoReturn:
    raise HTTPException(422, f"body: {word} is no number in JSON")
