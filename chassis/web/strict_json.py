"""Unambiguous JSON: duplicate names and NaN are rejected, because parsers differ in how they read them."""

import json
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Any

from fastapi import Request, Response
from fastapi.routing import APIRoute


class StrictJsonRequest(Request):
    async def json(self) -> Any:
        try:
            text = (await self.body()).decode()
        except UnicodeDecodeError as error:
            raise json.JSONDecodeError("not UTF-8", "", error.start) from None
        return json.loads(text, object_pairs_hook=_each_once, parse_constant=_refuse)


class StrictRoute(APIRoute):
    """Responds with 400 to a body that is not strict JSON."""

    def get_route_handler(self) -> Callable[[Request], Awaitable[Response]]:  # type: ignore[override]
        handle = super().get_route_handler()

        async def strict(request: Request) -> Response:
            return await handle(StrictJsonRequest(request.scope, request.receive))

        return strict


def _each_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        name, _ = Counter(name for name, _ in pairs).most_common(1)[0]
        raise json.JSONDecodeError("a name is given twice; give it once", name[:40], 0)
    return found


def _refuse(constant: str) -> Any:
    raise json.JSONDecodeError("not a number of JSON", constant, 0)
