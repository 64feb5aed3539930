"""The one poller of the broker's figures and of the services' readiness; it tells all viewers when it has news."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Mapping

import httpx

from chassis import telemetry
from chassis.handle import Clock
from journey.broker_admin import AdminUnavailable
from journey.circumstances import why_unready
from operations.broker import Broker, Counted
from operations.figures import Picture, silent, told


class Watch:
    def __init__(
        self, broker: Broker, http: httpx.AsyncClient, addresses: Mapping[str, str], clock: Clock, poll_s: float
    ) -> None:
        self._broker, self._http, self._addresses = broker, http, addresses
        self._clock, self._poll_s = clock, poll_s
        self.picture = Picture()
        self._news = asyncio.Event()

    async def run(self) -> None:
        """For ever: what goes wrong with one look is told in the picture, or in the log, and there is a next."""
        while True:
            try:
                await self.look()
            except Exception:
                telemetry.log.exception("could not look at the system")
            await asyncio.sleep(self._poll_s)

    async def look(self) -> None:
        before = self.picture
        unready, counted = await asyncio.gather(self._unready(), self._counted())
        if isinstance(counted, AdminUnavailable):
            self.picture = silent(before, f"{counted.reason}; {counted.remedy}", unready, self._clock())
        else:
            self.picture = told(counted, unready, self._clock())
        self.tell()

    def tell(self) -> None:
        """Wake all who wait for news."""
        self._news.set()
        self._news = asyncio.Event()

    async def news(self, timeout_s: float) -> None:
        """Wait for the next, but no longer than that."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._news.wait(), timeout_s)

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        task = asyncio.create_task(self.run(), name="watch")
        try:
            yield
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def _counted(self) -> Counted | AdminUnavailable:
        try:
            return await self._broker.counted()
        except AdminUnavailable as away:
            return away

    async def _unready(self) -> dict[str, str]:
        answers = await asyncio.gather(*(why_unready(self._http, address) for address in self._addresses.values()))
        return dict(zip(self._addresses, answers, strict=True))
