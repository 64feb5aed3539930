"""A circuit breaker round the outside world (Nygard, "Release It!"): after some silence in a row, stop asking.

While it is open the queue of the effects is paused, so that the messages wait in the broker and not in a loop. After
the pause one question at a time is a probe, until one is answered.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Any

from chassis.core.definition import CircuitOpen, EffectHandler, EffectUnavailable

FAILURES_MAX = 5
_OPENINGS_MAX = 16  # more make no longer pause, and after a thousand 2 ** openings is no float any more


class EffectBreaker:
    """Counts silences; open, it refuses at once and probes again after a while, a longer one each time."""

    def __init__(self, pause_s_min: float = 1.0, pause_s_max: float = 30.0) -> None:
        self._pause_s_min, self._pause_s_max = pause_s_min, pause_s_max
        self._silences = 0
        self._openings = 0
        self._probing = False
        self._reopen: asyncio.Task[None] | None = None
        self.pause: Callable[[], Awaitable[None]] | None = None
        self.resume: Callable[[], Awaitable[None]] | None = None

    @property
    def open(self) -> bool:
        return self._reopen is not None

    async def call(self, run_effect: EffectHandler, effect: Any, first_asked: datetime) -> Any:
        if self.open or self._probing:
            raise CircuitOpen("the circuit is open")
        probe = self._probing = self._openings > 0
        try:
            answer = await run_effect(effect, first_asked)
        except EffectUnavailable:
            self._silences += 1
            # After one opening, a single silence opens it again: that was the probe.
            if not self.open and self._silences >= (FAILURES_MAX if self._openings == 0 else 1):
                self._reopen = asyncio.create_task(self._open())
            raise
        finally:
            self._probing = self._probing and not probe
        self._silences = self._openings = 0
        return answer

    async def stop(self) -> None:
        if self._reopen is not None:
            self._reopen.cancel()

    async def _open(self) -> None:
        pause_s = min(self._pause_s_min * 2**self._openings, self._pause_s_max)
        self._openings = min(self._openings + 1, _OPENINGS_MAX)
        if self.pause is not None:
            await self.pause()
        await asyncio.sleep(pause_s * random.uniform(0.8, 1.2))
        self._silences = 0
        self._reopen = None
        if self.resume is not None:
            await self.resume()
