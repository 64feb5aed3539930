"""A cache of upstream responses, bounded by age and size."""

import time
from collections.abc import Awaitable, Callable, Collection, Mapping
from typing import Generic, TypeVar

Value = TypeVar("Value")
Load = Callable[[list[str]], Awaitable[Mapping[str, Value]]]


class TTLCache(Generic[Value]):
    """Per process, so another instance may return newer values until an entry expires."""

    def __init__(self, ttl_s: float, size_max: int) -> None:
        self._ttl_s = ttl_s
        self._size_max = size_max
        self._entries: dict[str, tuple[float, Value]] = {}  # oldest first

    async def get_many(self, keys: Collection[str], load: Load[Value]) -> dict[str, Value]:
        """The cached values, and those that `load` returns for the missing keys.

        Errors of `load` propagate.
        """
        now = time.monotonic()
        found = {
            key: self._entries[key][1] for key in keys if key in self._entries and self._entries[key][0] > now
        }
        if missing := [key for key in keys if key not in found]:
            loaded = await load(missing)
            self._store(loaded)
            found |= loaded
        return found

    def forget(self, keys: Collection[str]) -> None:
        for key in keys:
            self._entries.pop(key, None)

    def _store(self, loaded: Mapping[str, Value]) -> None:
        until = time.monotonic() + self._ttl_s
        for key, value in loaded.items():
            self._entries.pop(key, None)
            self._entries[key] = until, value
        for oldest in list(self._entries)[: max(0, len(self._entries) - self._size_max)]:
            del self._entries[oldest]
