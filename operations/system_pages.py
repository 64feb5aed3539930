"""The map, with live figures: one page, and one stream of events that keeps it true."""

import asyncio
import json
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import timedelta
from typing import Any

from fastapi import APIRouter, Request, Response
from starlette.exceptions import HTTPException
from starlette.responses import StreamingResponse

from contracts.access import AccessToken
from operations import drawing
from operations.desk import Desk
from operations.showing import Showing, count

_STREAMS_MAX = 100
_PING_S = 15.0
_STREAM_S = 600.0
_STREAM_HEADERS = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}


def routes(desk: Desk, showing: Showing) -> APIRouter:
    router = APIRouter()
    live = _Live(desk, showing)

    @router.get("/ops")
    async def system(request: Request) -> Response:
        """The whole system: who says what to whom, and how each is."""
        return showing.page(request, "map.html", **live.context(), stream="/ops/events")

    @router.get("/ops/events")
    async def events(request: Request, run: str = "") -> Response:
        """What has changed on the page, as it changes."""
        if live.streams >= _STREAMS_MAX:
            raise HTTPException(503, "too many pages are watching; this one is still: reload it", {"Retry-After": "30"})

        async def may_stay() -> bool:
            return await desk.may_stay(request)

        stream = live.stream(request.state.token, run, may_stay)
        return StreamingResponse(stream, media_type="text/event-stream", headers=_STREAM_HEADERS)

    return router


class _Live:
    """The parts of pages that change, made once for all who watch."""

    def __init__(self, desk: Desk, showing: Showing) -> None:
        self._desk, self._showing = desk, showing
        self._made: tuple[object, dict[str, str]] = (None, {})
        self.streams = 0

    def context(self) -> dict[str, Any]:
        return {
            "picture": self._desk.watch.picture,
            "boxes": drawing.boxes(),
            "lines": drawing.lines(),
            "ways": drawing.ways(),
            "drawing": drawing,
            "stuck_count": self._desk.waiting.count,
        }

    async def stream(
        self, token: AccessToken, run_id: str, may_stay: Callable[[], Awaitable[bool]] | None = None
    ) -> AsyncIterator[str]:
        """Only what differs from what this viewer has. Ends by itself now and then, and when the token does.

        `may_stay` is asked before each piece of news, so that a revoked token reads no further.
        """
        self.streams += 1
        try:
            sent: dict[str, str] = {}
            left = (token.exp - self._desk.clock()) / timedelta(seconds=1)
            end = asyncio.get_running_loop().time() + max(1.0, min(_STREAM_S * random.uniform(0.8, 1.2), left))
            yield "retry: 2000\n\n"
            while not self._desk.stopping.is_set() and asyncio.get_running_loop().time() < end:
                parts = self._parts() | await self._run_part(run_id)
                changed = {name: html for name, html in parts.items() if sent.get(name) != html}
                sent |= changed
                yield f"event: parts\ndata: {json.dumps(changed)}\n\n" if changed else ": still here\n\n"
                await self._news(end - asyncio.get_running_loop().time())
                if may_stay is not None and not await may_stay():
                    break
        finally:
            self.streams -= 1

    async def _news(self, left_s: float) -> None:
        """Until something has changed, or it is time for a word; a stop is news as well."""
        stopping = asyncio.create_task(self._desk.stopping.wait())
        news = asyncio.create_task(self._desk.watch.news(max(0.1, min(_PING_S, left_s))))
        try:
            await asyncio.wait([stopping, news], return_when=asyncio.FIRST_COMPLETED)
        finally:
            stopping.cancel()
            news.cancel()

    def _parts(self) -> dict[str, str]:
        state = (self._desk.watch.picture, self._desk.waiting.count)
        if self._made[0] != state:
            context = self.context()
            names = ("alerts", "asof", "drawn", "figures", "queues")
            parts = {name: self._showing.fragment(f"_{name}.html", **context) for name in names}
            for name, number in self._showing.counts().items():
                parts[name.replace("_", "-")] = count(number) if number else ""
            self._made = (state, parts)
        return self._made[1]

    async def _run_part(self, run_id: str) -> dict[str, str]:
        run = self._desk.runs.of(run_id)
        if run is None:
            return {}
        await self._desk.runs.follow_up(run, self._desk.http)
        return {"run": self._showing.fragment("_run.html", run=run)}
