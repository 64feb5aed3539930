"""The one poller of the broker's figures and of the services' readiness; it tells all viewers when it has news."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Mapping

import httpx

from chassis import telemetry
from chassis.handle import Clock
from journey.broker_admin import AdminUnavailable
from journey.circumstances import NO_ANSWER
from operations.broker import Broker, Counted
from operations.figures import Picture, silent, told

_READY_S_MAX = 2.0


class Watch:
    def __init__(
        self, broker: Broker, http: httpx.AsyncClient, addresses: Mapping[str, str], clock: Clock, poll_s: float
    ) -> None:
        self._broker, self._http, self._addresses = broker, http, addresses
        self._clock, self._poll_s = clock, poll_s
        self.picture = Picture(clock())
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
            self.picture = told(before, counted, unready, self._clock())
        self.tell()

    def tell(self) -> None:
        """Wake all who wait for news."""
        self._news.set()
        self._news = asyncio.Event()

    async def news(self, timeout_s: float) -> bool:
        """Wait for the next; False if there was none in time."""
        try:
            await asyncio.wait_for(self._news.wait(), timeout_s)
        except TimeoutError:
            return False
        return True

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
        answers = await asyncio.gather(*(self._why_unready(address) for address in self._addresses.values()))
        return dict(zip(self._addresses, answers, strict=True))

    async def _why_unready(self, address: str) -> str:
        try:
            answer = await self._http.get(f"{address}/readyz", timeout=_READY_S_MAX)
            return "" if answer.is_success else str(answer.json().get("detail") or answer.status_code)
        except httpx.HTTPError:
            return NO_ANSWER
        except ValueError:
            return f"it answers {answer.status_code}, and not as a service does"
