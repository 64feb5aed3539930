"""The service map with live statistics: one page, and an SSE stream that updates it."""

import asyncio
import json
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from datetime import timedelta
from typing import Any

from fastapi import Request, Response
from fastapi.routing import APIRoute
from starlette.exceptions import HTTPException
from starlette.responses import StreamingResponse

from contracts.http.access import AccessToken
from operations.access import StaffAccess
from operations.dead_letters.jobs import RedriveJobs
from operations.monitoring import service_map
from operations.monitoring.fault_panel import FaultPanel
from operations.monitoring.history import History
from operations.monitoring.poller import SystemPoller
from operations.monitoring.timelines import Timelines, flow_rates, timelines
from operations.web.staff_pages import PageTools, StaffPages, get
from operations.web.templating import count

_PARTS = ("alerts", "asof", "drawn", "figures", "queues", "flows", "timelines")
_STREAMS_MAX = 100
_PING_S = 15.0
_STREAM_S = 600.0
_STREAM_HEADERS = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}


class MapPages(StaffPages):
    """The changing parts are rendered once for all viewers."""

    def __init__(
        self,
        tools: PageTools,
        *,
        poller: SystemPoller,
        history: History,
        faults: FaultPanel | None,
        jobs: RedriveJobs,
        access: StaffAccess,
        stopping: asyncio.Event,
    ) -> None:
        super().__init__(tools)
        self._poller = poller
        self._history = history
        self._faults = faults
        self._jobs = jobs
        self._access = access
        self._stopping = stopping
        self._made: tuple[object, dict[str, str]] = (None, {})
        self._lines: tuple[object, Timelines] | None = None
        self.streams = 0

    def routes(self) -> Iterable[APIRoute]:
        return get("/ops", self.service_map), get("/ops/events", self.events)

    async def service_map(self, request: Request) -> Response:
        """The service map: the message flows and the state of each service."""
        return self._render(request, "map.html", **self._context(), stream="/ops/events")

    async def events(self, request: Request, run: str = "") -> Response:
        """Server-sent events with the parts of the page that have changed."""
        if self.streams >= _STREAMS_MAX:
            raise HTTPException(
                503, "too many pages are open; this one is not live: reload it", {"Retry-After": "30"}
            )

        async def may_stay() -> bool:
            return await self._access.may_stay(request)

        stream = self.stream(request.state.token, run, may_stay)
        return StreamingResponse(stream, media_type="text/event-stream", headers=_STREAM_HEADERS)

    def _context(self) -> dict[str, Any]:
        return {
            "snapshot": self._poller.snapshot,
            "nodes": service_map.nodes(),
            "edges": service_map.edges(),
            "message_flows": service_map.message_flows(),
            "service_map": service_map,
            "flow_rates": flow_rates(self._history, self._tools.clock()),
            "timelines": self._timelines(),
            "faults": self._faults.states if self._faults is not None else None,
            "stuck_count": self._tools.renderer.counts()["stuck_count"],
        }

    def _timelines(self) -> Timelines:
        """Drawn when there is a new sample, or the first time in a slot."""
        now = self._tools.clock()
        state = (self._history.latest, self._history.times(now))
        if self._lines is None or self._lines[0] != state:
            self._lines = state, timelines(self._history, now)
        return self._lines[1]

    async def stream(
        self, token: AccessToken, run_id: str, may_stay: Callable[[], Awaitable[bool]] | None = None
    ) -> AsyncIterator[str]:
        """Yields only the parts that differ from what this viewer has. Ends after a while, or with the token.

        `may_stay` is checked before each update, so that a revoked token receives no more.
        """
        self.streams += 1
        try:
            sent: dict[str, str] = {}
            left = (token.exp - self._tools.clock()) / timedelta(seconds=1)
            end = asyncio.get_running_loop().time() + max(
                1.0, min(_STREAM_S * random.uniform(0.8, 1.2), left)
            )
            yield "retry: 2000\n\n"
            while not self._stopping.is_set() and asyncio.get_running_loop().time() < end:
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
        stopping = asyncio.create_task(self._stopping.wait())
        news = asyncio.create_task(self._poller.wait_for_update(max(0.1, min(_PING_S, left_s))))
        try:
            await asyncio.wait([stopping, news], return_when=asyncio.FIRST_COMPLETED)
        finally:
            stopping.cancel()
            news.cancel()

    def _parts(self) -> dict[str, str]:
        stuck = self._tools.renderer.counts()["stuck_count"]
        faults = self._faults.states if self._faults is not None else None
        state = (self._poller.snapshot, stuck, self._timelines(), faults)
        if self._made[0] != state:
            context = self._context()
            names = (*_PARTS, "faults") if faults else _PARTS
            parts = {name: self._tools.renderer.render_fragment(f"_{name}.html", **context) for name in names}
            for name, number in self._tools.renderer.counts().items():
                parts[name.replace("_", "-")] = count(number) if number else ""
            self._made = (state, parts)
        return self._made[1]

    async def _job_part(self, run_id: str) -> dict[str, str]:
        job = self._jobs.of(run_id)
        if job is None:
            return {}
        await self._jobs.follow_up(job, self._tools.http)
        return {"run": self._tools.renderer.render_fragment("_run.html", job=job)}
