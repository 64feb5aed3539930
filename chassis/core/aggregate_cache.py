"""What this instance last read or wrote of its aggregates,
so that it need not read each one before each message.

A cached version may be outdated, because other instances write too. So a decision may rest on it only if its
write checks the version; a decision that leads to no write is repeated on what the database has (process.py).
After a version conflict with another instance, or an unanswered write, the cache is bypassed for that kind
for 10 s.
"""

import asyncio
from collections.abc import Collection, Iterable
from dataclasses import replace

from chassis.store.protocol import Loaded

AGGREGATES_MAX = 2_000
BYPASS_S = 10.0


class AggregateCache:
    """The aggregates that this instance processed last, by kind and key."""

    def __init__(self) -> None:
        self._loaded: dict[tuple[str, str], Loaded] = {}
        self._reads_until: dict[str, float] = {}

    def get_many(self, kind: str, keys: Iterable[str]) -> dict[str, Loaded]:
        """Those that are cached. The others must be read."""
        return {key: self._loaded[kind, key] for key in sorted(keys) if (kind, key) in self._loaded}

    def keep(self, loaded: Iterable[Loaded]) -> None:
        for each in loaded:
            if not self.is_bypassed(each.kind):
                self._loaded[each.kind, each.key] = (
                    each if each.from_cache else replace(each, from_cache=True)
                )
        while len(self._loaded) > AGGREGATES_MAX:
            # a dict is ordered by insertion, so the oldest goes first
            del self._loaded[next(iter(self._loaded))]

    def forget(self, aggregate_key: tuple[str, str]) -> None:
        """The cached version is outdated, and the next one is not known."""
        self._loaded.pop(aggregate_key, None)

    def is_bypassed(self, kind: str) -> bool:
        return asyncio.get_running_loop().time() < self._reads_until.get(kind, 0.0)

    def bypass(self, kinds: Collection[str]) -> None:
        """Read these kinds for a while: other instances write them too,
        or the outcome of a write is unknown.
        """
        self._reads_until |= dict.fromkeys(kinds, asyncio.get_running_loop().time() + BYPASS_S)
        self._loaded = {
            aggregate_key: loaded
            for aggregate_key, loaded in self._loaded.items()
            if aggregate_key[0] not in kinds
        }
