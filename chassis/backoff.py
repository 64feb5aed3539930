"""The pauses between the tries of something that failed: exponential, bounded, and with jitter.

Without jitter, instances that failed together would try again together, and collide or overload the other
side again.
"""

import asyncio
import random


class Backoff:
    """Doubles the pause after each failure, from `first_s` up to `max_s`.

    `jitter` is the share by which a pause may be shorter or longer: with 1.0 it is anything between zero and
    twice the pause, which suits writers that compete for one aggregate.
    """

    def __init__(self, first_s: float, max_s: float, *, jitter: float = 0.5) -> None:
        self._first_s = first_s
        self._max_s = max_s
        self._jitter = jitter
        self._next_s = first_s

    def next_s(self) -> float:
        """How long to pause now."""
        pause_s = self._next_s * random.uniform(1 - self._jitter, 1 + self._jitter)
        self._next_s = min(self._next_s * 2, self._max_s)
        return pause_s

    async def pause(self) -> None:
        await asyncio.sleep(self.next_s())

    def reset(self) -> None:
        """Start again with the shortest pause, after a success."""
        self._next_s = self._first_s
