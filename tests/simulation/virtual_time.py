"""An event loop whose clock jumps from one timer to the next, so that a year of waiting takes no time.

It has one thread and a fixed order of callbacks, so that two runs are identical. It watches no sockets.
"""

import asyncio
import selectors
from collections.abc import Coroutine, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

T = TypeVar("T")

BEGINNING = datetime(2026, 1, 1, tzinfo=UTC)


class Stuck(Exception):
    """No timer and no callback is left, but a task still waits."""


class _NoSockets(selectors.BaseSelector):
    """Advances the clock instead of waiting."""

    def __init__(self, loop: "VirtualTimeLoop") -> None:
        self._loop = loop
        self._keys: dict[Any, selectors.SelectorKey] = {}

    def register(self, fileobj: Any, events: int, data: Any = None) -> selectors.SelectorKey:
        key = selectors.SelectorKey(
            fileobj, fileobj if isinstance(fileobj, int) else fileobj.fileno(), events, data
        )
        self._keys[fileobj] = key
        return key

    def unregister(self, fileobj: Any) -> selectors.SelectorKey:
        return self._keys.pop(fileobj)

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is None:
            raise Stuck
        self._loop.now_s += max(0.0, timeout)
        return []

    def get_map(self) -> Mapping[Any, selectors.SelectorKey]:
        return self._keys


class VirtualTimeLoop(asyncio.SelectorEventLoop):
    """`now_s`: seconds since the start.

    Setting it to a later time moves the clock past every timer in between.
    """

    def __init__(self) -> None:
        self.now_s = 0.0
        super().__init__(_NoSockets(self))
        self._clock_resolution = (
            1e-6  # after a year floats are coarser than a nanosecond: no timer would be due
        )

    def time(self) -> float:
        return self.now_s


def play(story: Coroutine[Any, Any, T]) -> T:
    """Run to the end in virtual time.

    A timeout expires only if its event never comes, however busy the machine is.
    """
    loop = VirtualTimeLoop()
    try:
        return loop.run_until_complete(story)
    finally:
        loop.close()


def now() -> datetime:
    """The virtual time of day, as a Clock."""
    return BEGINNING + timedelta(seconds=asyncio.get_running_loop().time())
