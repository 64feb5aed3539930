"""Answers that are remembered for a moment, so that a busy page does not ask a service the same thing over and over."""

import time
from collections.abc import Awaitable, Callable, Collection, Mapping
from typing import Generic, TypeVar

Value = TypeVar("Value")
Ask = Callable[[list[str]], Awaitable[Mapping[str, Value]]]


class Recent(Generic[Value]):
    """Bounded in time and number; one per instance, so another one may know newer things for that long."""

    def __init__(self, for_s: float, remembered_max: int) -> None:
        self._for_s, self._remembered_max = for_s, remembered_max
        self._known: dict[str, tuple[float, Value]] = {}  # in the order in which they were heard

    async def of(self, keys: Collection[str], ask: Ask[Value]) -> dict[str, Value]:
        """What is remembered, and what `ask` says about the others. Whatever it raises passes on."""
        now = time.monotonic()
        found = {key: self._known[key][1] for key in keys if key in self._known and self._known[key][0] > now}
        if missing := [key for key in keys if key not in found]:
            heard = await ask(missing)
            self._remember(heard)
            found |= heard
        return found

    def forget(self, keys: Collection[str]) -> None:
        for key in keys:
            self._known.pop(key, None)

    def _remember(self, heard: Mapping[str, Value]) -> None:
        until = time.monotonic() + self._for_s
        for key, value in heard.items():
            self._known.pop(key, None)
            self._known[key] = until, value
        for oldest in list(self._known)[: max(0, len(self._known) - self._remembered_max)]:
            del self._known[oldest]
