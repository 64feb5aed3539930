"""How an instance hears of news while somebody watches: one look at the database for all watched orders at once.

The journeys are written down there by whichever instance took the message, so every instance sees the same ones, and
nothing can be lost between reading a journey and waiting for its news. See docs/decisions/0009.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from uuid import UUID

from chassis import telemetry
from chassis.store import Loaded, Store, StoreUnavailable
from gateway.journey import Journey
from gateway.service import JOURNEYS

LOOK_S = 0.25
AWAY_S = 2.0  # how often to look while the database does not answer


class Watch:
    """One reader of one order. It holds the newest journey and no queue: who reads slowly skips pictures, no news."""

    def __init__(self) -> None:
        self._journey: Journey | None = None
        self._news = asyncio.Event()
        self._ended = False

    def tell(self, journey: Journey) -> None:
        self._journey = journey
        self._news.set()

    def end(self) -> None:
        self._ended = True
        self._news.set()

    @property
    def ended(self) -> bool:
        """Nothing more will come from this instance: it is about to stop."""
        return self._ended

    async def news(self, within_s: float) -> Journey | None:
        """The journey as it is now, as soon as it is another; None if it is the same after that time."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(within_s):
                await self._news.wait()
        journey, self._journey = self._journey, None
        if not self._ended:
            self._news.clear()
        return journey


class Hub:
    """All watches of one instance. It looks only while there are some."""

    def __init__(self, store: Store, stopping: asyncio.Event, look_s: float = LOOK_S) -> None:
        self._store, self._stopping, self._look_s = store, stopping, look_s
        self._watches: dict[str, set[Watch]] = {}
        self._versions: dict[str, int] = {}
        self._looking: asyncio.Task[None] | None = None

    @property
    def idle(self) -> bool:
        return self._looking is None or self._looking.done()

    @asynccontextmanager
    async def watch(self, order_id: UUID) -> AsyncIterator[Watch]:
        """Its first news is the journey as the next look finds it."""
        key, watch = str(order_id), Watch()
        self._watches.setdefault(key, set()).add(watch)
        self._versions.pop(key, None)  # so that the newcomer is told too
        if self.idle:
            self._looking = asyncio.create_task(self._look_on(), name="live")
        try:
            yield watch
        finally:
            self._watches[key].discard(watch)
            if not self._watches[key]:
                del self._watches[key]
                self._versions.pop(key, None)

    async def _look_on(self) -> None:
        while self._watches and not self._stopping.is_set():
            pause_s = self._look_s
            try:
                self._tell(await self._store.load(JOURNEYS.kind, list(self._watches)))
            except StoreUnavailable:
                pause_s = AWAY_S  # whoever watches has what was known, and is told as soon as there is more
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(pause_s):
                    await self._stopping.wait()
        for watches in self._watches.values():
            self._end(watches)

    def _tell(self, found: dict[str, Loaded]) -> None:
        for key, loaded in found.items():
            if loaded.state is None or loaded.version == self._versions.get(key, 0) or key not in self._watches:
                continue
            self._versions[key] = loaded.version
            try:
                journey: Journey = JOURNEYS.codec.load(loaded.state)
            except ValueError:  # written by newer code than this: its readers ask another instance, the others read on
                telemetry.log.warning("journey not readable", order_id=key)
                self._end(self._watches[key])
                continue
            for watch in self._watches[key]:
                watch.tell(journey)

    def _end(self, watches: Iterable[Watch]) -> None:
        for watch in watches:
            watch.end()
