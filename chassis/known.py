"""What this instance last read and wrote of its aggregates, so that it need not read each one before each message.

It may be old, for other instances write too. So it counts only where the write checks it, by the version; whatever
leads to no write is decided anew on what the database says (handle.py). Who meets another's version has company, and
reads for a while; so does who has had no answer.
"""

import asyncio
from collections.abc import Collection, Iterable
from dataclasses import replace

from chassis.store import Loaded

AGGREGATES_MAX = 2_000
READS_FOR_S = 10.0


class Known:
    """The aggregates that passed through our hands last, by kind and key."""

    def __init__(self) -> None:
        self._loaded: dict[tuple[str, str], Loaded] = {}
        self._reads_until: dict[str, float] = {}

    def recall(self, kind: str, keys: Iterable[str]) -> dict[str, Loaded]:
        """Those that are known. The others must be read."""
        return {key: self._loaded[kind, key] for key in sorted(keys) if (kind, key) in self._loaded}

    def keep(self, loaded: Iterable[Loaded]) -> None:
        for each in loaded:
            if not self.doubts(each.kind):
                self._loaded[each.kind, each.key] = each if each.recalled else replace(each, recalled=True)
        while len(self._loaded) > AGGREGATES_MAX:
            del self._loaded[next(iter(self._loaded))]  # dicts remember the order: the oldest goes first

    def forget(self, place: tuple[str, str]) -> None:
        """It is no more what we knew, and has to be read."""
        self._loaded.pop(place, None)

    def doubts(self, kind: str) -> bool:
        return asyncio.get_running_loop().time() < self._reads_until.get(kind, 0.0)

    def doubt(self, kinds: Collection[str]) -> None:
        """Others write these too, or nobody knows what became of a write of our own."""
        self._reads_until |= dict.fromkeys(kinds, asyncio.get_running_loop().time() + READS_FOR_S)
        self._loaded = {place: loaded for place, loaded in self._loaded.items() if place[0] not in kinds}
