"""What this instance last read and wrote of its aggregates, so that it need not read each one before each message.

It may be old, for other instances write too. So it counts only where the write checks it, by the version; whatever
leads to no write is decided anew on what the database says (handle.py). Who meets another's version has company, and
reads for a while; so does who has had no answer.
"""

import asyncio
from collections.abc import Collection, Iterable
from dataclasses import replace

from chassis.store.protocol import Loaded

AGGREGATES_MAX = 2_000
BYPASS_S = 10.0


class AggregateCache:
    """The aggregates that passed through our hands last, by kind and key."""

    def __init__(self) -> None:
        self._loaded: dict[tuple[str, str], Loaded] = {}
        self._reads_until: dict[str, float] = {}

    def get_many(self, kind: str, keys: Iterable[str]) -> dict[str, Loaded]:
        """Those that are known. The others must be read."""
        return {key: self._loaded[kind, key] for key in sorted(keys) if (kind, key) in self._loaded}

    def keep(self, loaded: Iterable[Loaded]) -> None:
        for each in loaded:
            if not self.is_bypassed(each.kind):
                self._loaded[each.kind, each.key] = each if each.from_cache else replace(each, from_cache=True)
        while len(self._loaded) > AGGREGATES_MAX:
            del self._loaded[next(iter(self._loaded))]  # dicts remember the order: the oldest goes first

    def forget(self, aggregate_key: tuple[str, str]) -> None:
        """It is no more what we knew, and has to be read."""
        self._loaded.pop(aggregate_key, None)

    def is_bypassed(self, kind: str) -> bool:
        return asyncio.get_running_loop().time() < self._reads_until.get(kind, 0.0)

    def bypass(self, kinds: Collection[str]) -> None:
        """Others write these too, or nobody knows what became of a write of our own."""
        self._reads_until |= dict.fromkeys(kinds, asyncio.get_running_loop().time() + BYPASS_S)
        self._loaded = {
            aggregate_key: loaded for aggregate_key, loaded in self._loaded.items() if aggregate_key[0] not in kinds
        }
