"""A circuit breaker round the outside world (Nygard, "Release It!"): after some silence in a row, stop asking.

While it is open the queue of the effects is paused, so that the messages wait in the broker and not in a loop. After
the pause one question at a time is a probe, until one is answered.
"""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Any

from chassis.backoff import Backoff
from chassis.core.definition import CircuitOpen, EffectHandler, EffectUnavailable

FAILURES_MAX = 5


class EffectBreaker:
    """Counts silences; open, it refuses at once and probes again after a while, a longer one each time."""

    def __init__(self, pause_s_min: float = 1.0, pause_s_max: float = 30.0) -> None:
        self._backoff = Backoff(pause_s_min, pause_s_max, jitter=0.2)
        self._failures = 0
        self._was_open = False  # and nothing was answered since
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
        probe = self._probing = self._was_open
        try:
            answer = await run_effect(effect, first_asked)
        except EffectUnavailable:
            self._failures += 1
            # After one opening, a single silence opens it again: that was the probe.
            if not self.open and self._failures >= (1 if self._was_open else FAILURES_MAX):
                self._reopen = asyncio.create_task(self._open())
            raise
        finally:
            self._probing = self._probing and not probe
        self._failures = 0
        self._was_open = False
        self._backoff.reset()
        return answer

    async def stop(self) -> None:
        if self._reopen is not None:
            self._reopen.cancel()

    async def _open(self) -> None:
        self._was_open = True
        if self.pause is not None:
            await self.pause()
        await self._backoff.pause()
        self._failures = 0
        self._reopen = None
        if self.resume is not None:
            await self.resume()
