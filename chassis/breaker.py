"""A circuit breaker round the outside world (Nygard, "Release It!"): after some silence in a row, stop asking.

While it is open the queue of the effects is paused, so that the messages wait in the broker and not in a loop.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable
from typing import Any

from chassis.service import EffectUnavailable

SILENCES_MAX = 5


class Breaker:
    """Counts silences; open, it refuses at once and probes again after a while, a longer one each time."""

    def __init__(self, pause_s_min: float = 1.0, pause_s_max: float = 30.0) -> None:
        self._pause_s_min, self._pause_s_max = pause_s_min, pause_s_max
        self._silences = 0
        self._openings = 0
        self._reopen: asyncio.Task[None] | None = None
        self.pause: Callable[[], Awaitable[None]] | None = None
        self.resume: Callable[[], Awaitable[None]] | None = None

    @property
    def open(self) -> bool:
        return self._reopen is not None

    async def call(self, perform: Callable[[Any], Awaitable[Any]], question: Any) -> Any:
        if self.open:
            raise EffectUnavailable("the circuit is open")
        try:
            answer = await perform(question)
        except EffectUnavailable:
            self._silences += 1
            # After one opening, a single silence opens it again: that was the probe.
            if not self.open and self._silences >= (SILENCES_MAX if self._openings == 0 else 1):
                self._reopen = asyncio.create_task(self._open())
            raise
        self._silences = self._openings = 0
        return answer

    async def stop(self) -> None:
        if self._reopen is not None:
            self._reopen.cancel()

    async def _open(self) -> None:
        pause_s = min(self._pause_s_min * 2**self._openings, self._pause_s_max)
        self._openings += 1
        if self.pause is not None:
            await self.pause()
        await asyncio.sleep(pause_s * random.uniform(0.8, 1.2))
        self._silences = 0
        self._reopen = None
        if self.resume is not None:
            await self.resume()
