"""Loads the aggregates of a batch, those that are related to them,
and what was emitted for redelivered messages.
"""

from collections.abc import Collection, Sequence
from typing import Any

from chassis.core.definition import Aggregate
from chassis.core.pending_message import PendingMessage
from chassis.core.working_copy import WorkingCopy
from chassis.store.cached import CachedStore
from chassis.store.protocol import AggregateKey, Loaded

WorkingCopies = dict[AggregateKey, WorkingCopy]
Found = dict[AggregateKey, Loaded]


class AggregateLoader:
    def __init__(self, store: CachedStore) -> None:
        self._store = store

    async def load(self, batch: Sequence[PendingMessage]) -> WorkingCopies:
        """A working copy of each aggregate of the batch, and of the related ones."""
        aggregates = {pending.aggregate.kind: pending.aggregate for pending in batch}.values()
        copies: list[WorkingCopy] = []
        found: Found = {}
        for aggregate in aggregates:  # nearly always one
            pending_messages = [pending for pending in batch if pending.aggregate is aggregate]
            copies += await self._load_kind(aggregate, pending_messages, found)
        # An aggregate that is related to one message may handle another one: then both share its own working
        # copy.
        copies.sort(key=lambda copy: isinstance(copy.of, Aggregate))
        working_copies = {(copy.of.kind, copy.loaded.key): copy for copy in copies}
        await self._load_emitted(batch, working_copies)
        return working_copies

    async def _load_kind(
        self, aggregate: Aggregate[Any], pending_messages: Sequence[PendingMessage], found: Found
    ) -> list[WorkingCopy]:
        """The aggregates of one kind, and what is related to them."""
        first = {pending.key: pending.message for pending in reversed(pending_messages)}
        new = [key for key, message in first.items() if isinstance(message, aggregate.created_by)]
        loaded_by_key = await self._load_once(aggregate.kind, first.keys(), found, probably_new=new)
        copies = {key: WorkingCopy.from_loaded(aggregate, loaded) for key, loaded in loaded_by_key.items()}
        if aggregate.related is None:
            return list(copies.values())
        keys = {
            related_key
            for pending in pending_messages
            if not (copy := copies[pending.key]).unreadable
            for related_key in aggregate.related.keys(copy.state, pending.message)
        }
        related_to = aggregate.related
        related = await self._load_once(related_to.kind, sorted(keys), found)
        return [
            *(WorkingCopy.from_loaded(related_to, loaded) for loaded in related.values()),
            *copies.values(),
        ]

    async def _load_once(
        self, kind: str, keys: Collection[str], found: Found, *, probably_new: Collection[str] = ()
    ) -> dict[str, Loaded]:
        """Aggregates of one kind; what the batch has loaded before is not loaded again.

        Loaded again, a version that was just read would come from the cache. The store would refuse the
        batch, and refuse each repetition for the same reason.
        """
        if missing := [key for key in keys if (kind, key) not in found]:
            new = [key for key in probably_new if (kind, key) not in found]
            loaded = await self._store.load(kind, missing, probably_new=new)
            found |= {(kind, key): each for key, each in loaded.items()}
        return {key: found[kind, key] for key in keys}

    async def _load_emitted(self, batch: Sequence[PendingMessage], working_copies: WorkingCopies) -> None:
        """What was emitted for messages that are redelivered.

        Only for these: the stored messages are large.
        """
        redelivered: dict[str, dict[str, list[str]]] = {}
        for pending in batch:
            if pending.envelope.id in working_copies[pending.aggregate_key].loaded.handled:
                redelivered.setdefault(pending.aggregate.kind, {}).setdefault(pending.key, []).append(
                    pending.envelope.id
                )
        for kind, wanted in redelivered.items():
            emitted = await self._store.emitted(kind, wanted)
            for key, ids in wanted.items():
                # An id that is pruned by now made way for newer ones; then the write meets a newer version.
                working_copies[kind, key].emitted.update({id_: emitted[id_] for id_ in ids if id_ in emitted})
