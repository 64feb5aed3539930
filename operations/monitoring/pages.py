"""The service map with live statistics: one page, and an SSE stream that updates it."""

import asyncio
import json
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import timedelta
from typing import Any

from fastapi import APIRouter, Request, Response
from starlette.exceptions import HTTPException
from starlette.responses import StreamingResponse

from contracts.http.access import AccessToken
from operations.dependencies import OperationsDependencies
from operations.monitoring import service_map
from operations.web.templating import PageRenderer, count

_STREAMS_MAX = 100
_PING_S = 15.0
_STREAM_S = 600.0
_STREAM_HEADERS = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}


def routes(deps: OperationsDependencies, renderer: PageRenderer) -> APIRouter:
    router = APIRouter()
    live = _Live(deps, renderer)

    @router.get("/ops")
    async def system(request: Request) -> Response:
        """The service map: the message flows and the state of each service."""
        return renderer.render_page(request, "map.html", **live.context(), stream="/ops/events")

    @router.get("/ops/events")
    async def events(request: Request, run: str = "") -> Response:
        """Server-sent events with the parts of the page that have changed."""
        if live.streams >= _STREAMS_MAX:
            raise HTTPException(
                503, "too many pages are open; this one is not live: reload it", {"Retry-After": "30"}
            )

        async def may_stay() -> bool:
            return await deps.may_stay(request)

        stream = live.stream(request.state.token, run, may_stay)
        return StreamingResponse(stream, media_type="text/event-stream", headers=_STREAM_HEADERS)

    return router


class _Live:
    """The changing parts of the pages, rendered once for all viewers."""

    def __init__(self, deps: OperationsDependencies, renderer: PageRenderer) -> None:
        self._deps = deps
        self._renderer = renderer
        self._made: tuple[object, dict[str, str]] = (None, {})
        self.streams = 0

    def context(self) -> dict[str, Any]:
        return {
            "snapshot": self._deps.poller.snapshot,
            "nodes": service_map.nodes(),
            "edges": service_map.edges(),
            "message_flows": service_map.message_flows(),
            "service_map": service_map,
            "stuck_count": self._deps.stuck_orders.count,
        }

    async def stream(
        self, token: AccessToken, run_id: str, may_stay: Callable[[], Awaitable[bool]] | None = None
    ) -> AsyncIterator[str]:
        """Yields only the parts that differ from what this viewer has. Ends after a while, or with the token.

        `may_stay` is checked before each update, so that a revoked token receives no more.
        """
        self.streams += 1
        try:
            sent: dict[str, str] = {}
            left = (token.exp - self._deps.clock()) / timedelta(seconds=1)
            end = asyncio.get_running_loop().time() + max(
                1.0, min(_STREAM_S * random.uniform(0.8, 1.2), left)
            )
            yield "retry: 2000\n\n"
            while not self._deps.stopping.is_set() and asyncio.get_running_loop().time() < end:
                parts = self._parts() | await self._job_part(run_id)
                changed = {name: html for name, html in parts.items() if sent.get(name) != html}
                sent |= changed
                yield f"event: parts\ndata: {json.dumps(changed)}\n\n" if changed else ": still here\n\n"
                await self._news(end - asyncio.get_running_loop().time())
                if may_stay is not None and not await may_stay():
                    break
        finally:
            self.streams -= 1

    async def _news(self, left_s: float) -> None:
        """Wait until something has changed or a keep-alive is due; a shutdown counts as a change."""
        stopping = asyncio.create_task(self._deps.stopping.wait())
        news = asyncio.create_task(self._deps.poller.wait_for_update(max(0.1, min(_PING_S, left_s))))
        try:
            await asyncio.wait([stopping, news], return_when=asyncio.FIRST_COMPLETED)
        finally:
            stopping.cancel()
            news.cancel()

    def _parts(self) -> dict[str, str]:
        state = (self._deps.poller.snapshot, self._deps.stuck_orders.count)
        if self._made[0] != state:
            context = self.context()
            names = ("alerts", "asof", "drawn", "figures", "queues")
            parts = {name: self._renderer.render_fragment(f"_{name}.html", **context) for name in names}
            for name, number in self._renderer.counts().items():
                parts[name.replace("_", "-")] = count(number) if number else ""
            self._made = (state, parts)
        return self._made[1]

    async def _job_part(self, run_id: str) -> dict[str, str]:
        job = self._deps.jobs.of(run_id)
        if job is None:
            return {}
        await self._deps.jobs.follow_up(job, self._deps.http)
        return {"run": self._renderer.render_fragment("_run.html", job=job)}
