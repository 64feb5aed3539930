"""The one poller of the broker's figures and of the services' readiness; it tells all viewers when it has news."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Mapping

import httpx
from prometheus_client import Gauge

from chassis import telemetry
from chassis.bus import BusUnavailable
from chassis.handle import Clock
from journey.broker_admin import AdminUnavailable
from journey.circumstances import why_unready
from journey.infra.model import InfrastructureUnavailable
from journey.losses import Losses
from operations.broker import Broker, Counted
from operations.figures import Picture, silent, told

_POLLS_BETWEEN_LOSSES = 5
# A gauge, because the totals are older than this process.
LOST_MESSAGES = Gauge("journey_lost_messages", "Messages that a full queue threw away, in all", ["queue"])


class Watch:
    def __init__(
        self, broker: Broker, http: httpx.AsyncClient, addresses: Mapping[str, str], clock: Clock, poll_s: float
    ) -> None:
        self._broker, self._http, self._addresses = broker, http, addresses
        self._clock, self._poll_s = clock, poll_s
        self.picture = Picture()
        self._losses = Losses()
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
            self.picture = told(counted, unready, self._clock(), self._losses.sentences)
        self.tell()

    async def count_losses(self) -> None:
        """For ever. It also keeps the queue of lost messages short, so that none is lost uncounted."""
        while True:
            try:
                self._losses = await self._broker.losses()
                for queue, number in self._losses.lost.items():
                    LOST_MESSAGES.labels(queue).set(number)
            except (InfrastructureUnavailable, BusUnavailable) as away:
                telemetry.log.warning("losses of full queues are not counted just now", error=str(away))
            except Exception:
                telemetry.log.exception("could not count the losses of full queues")
            await asyncio.sleep(self._poll_s * _POLLS_BETWEEN_LOSSES)

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
        tasks = [
            asyncio.create_task(self.run(), name="watch"),
            asyncio.create_task(self.count_losses(), name="count losses"),
        ]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _counted(self) -> Counted | AdminUnavailable:
        try:
            return await self._broker.counted()
        except AdminUnavailable as away:
            return away

    async def _unready(self) -> dict[str, str]:
        answers = await asyncio.gather(*(why_unready(self._http, address) for address in self._addresses.values()))
        return dict(zip(self._addresses, answers, strict=True))
