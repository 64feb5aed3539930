"""The only path that a message takes, for a whole batch of waiting messages at once (group commit):

    load -> already handled? -> decide -> one atomic write -> (committer.py:) publish, confirmed ->
    acknowledge, last

Redelivery heals a crash between any two steps. What was written is found by the message's id, and is
published again, byte for byte; what was not written is decided again. The check for the id comes after the
load, so that the version guard covers it (see "consistent messaging" by Eugene Tolmachev and Szymon Pobiega).
"""

from collections.abc import Mapping, Sequence

from chassis.backoff import Backoff
from chassis.clock import Clock
from chassis.core.aggregate_cache import AggregateCache
from chassis.core.decision import RunEffect
from chassis.core.definition import ServiceDefinition, TooOld
from chassis.core.loader import AggregateLoader
from chassis.core.pending_message import PendingMessage
from chassis.core.unit_of_work import UnitOfWork
from chassis.core.working_copy import AggregateKey, WorkingCopy
from chassis.messaging.envelope import Envelope
from chassis.store.protocol import Change, Loaded, Store, StoreRefused, StoreUnavailable

SAVES_MAX = 8


def conflict_backoff() -> Backoff:
    """The pauses after a write that met a newer version.

    They vary widely, so that competing writers separate.
    """
    return Backoff(0.0025, 1.0, jitter=1.0)


class MessageProcessor:
    """Decides about batches of messages and stores the result, for one service."""

    def __init__(
        self, service: ServiceDefinition, store: Store, *, clock: Clock, cache: AggregateCache | None = None
    ) -> None:
        self._service = service
        self._store = store
        self._clock = clock
        self.cache = cache if cache is not None else AggregateCache()
        self._loader = AggregateLoader(store, self.cache)

    async def process(self, batch: Sequence[PendingMessage]) -> None:
        """Set the outcome of every message, after it is stored.

        Raises StoreUnavailable; then nothing is settled.
        """
        try:
            await self._decide_and_save(batch)
        except StoreRefused as refusal:
            if len(batch) == 1:
                batch[0].outcome = refusal
                return
            for pending in batch:  # one that cannot be written must not fail the others
                await self.process([pending])
        except StoreUnavailable:
            # The outcome of the write is unknown, so cached versions may be outdated, and a retry with them
            # too.
            self.cache.bypass(self._service.kinds)
            raise

    async def _decide_and_save(self, batch: Sequence[PendingMessage]) -> None:
        backoff = conflict_backoff()
        from_cache: dict[AggregateKey, Loaded] = {}
        for attempt in range(SAVES_MAX):
            copies = await self._loader.load(batch, use_cache=attempt == 0)
            if outdated := _outdated_kinds(from_cache, copies, batch):
                self.cache.bypass(outdated)
            from_cache = {key: copy.loaded for key, copy in copies.items() if copy.loaded.from_cache}
            unit = UnitOfWork(self._service, copies, self._clock)
            for pending in batch:
                pending.outcome = self._decide(unit, pending)
            if _needs_fresh_read(copies, batch):
                continue
            changes = unit.changes()
            if not changes or await self._store.save(changes, together=unit.changes_related):
                self._update_cache(copies, changes)
                return
            # Another instance was faster, or the response was lost. The next load shows which.
            await backoff.pause()
        raise StoreUnavailable(f"{SAVES_MAX} writes in a row met newer versions")

    def _decide(
        self, unit: UnitOfWork, pending: PendingMessage
    ) -> tuple[Envelope, ...] | RunEffect | Exception:
        working_copy = unit.working_copies[pending.aggregate_key]
        if error := working_copy.unreadable or unit.unreadable_related(working_copy, pending.message):
            return error
        if (emitted := working_copy.emitted.get(pending.envelope.id)) is not None:
            return emitted
        is_new = working_copy.loaded.version == 0 and not working_copy.changed
        if is_new and pending.aggregate.forgets(pending.envelope.said_at, self._clock()):
            return _too_old(pending)
        message = pending.message if pending.result is None else pending.result
        try:
            decision = unit.decide(working_copy, pending.envelope, message)
        except Exception as error:  # a bug in one rule: this message alone goes to the retry ladder
            return error
        if isinstance(decision, RunEffect):
            return decision
        return unit.apply(working_copy, pending.envelope, decision)

    def _update_cache(self, copies: Mapping[AggregateKey, WorkingCopy], changes: Sequence[Change]) -> None:
        """Keep the aggregates as they are now stored, where a cached version is of use."""
        written = {(change.loaded.kind, change.loaded.key): change for change in changes}
        for key, copy in copies.items():
            if not copy.of.cacheable or copy.unreadable:
                continue
            stored = written[key].result(copy.state) if key in written else copy.loaded
            if stored is None:
                self.cache.forget(key)
            else:
                self.cache.keep([stored])


def _outdated_kinds(
    from_cache: Mapping[AggregateKey, Loaded],
    working_copies: Mapping[AggregateKey, WorkingCopy],
    batch: Sequence[PendingMessage],
) -> set[str]:
    """Kinds whose cached version was outdated by another instance's write."""
    written_by_us = {
        pending.aggregate_key
        for pending in batch
        if pending.envelope.id in working_copies[pending.aggregate_key].loaded.handled
    }
    # A cached aggregate may have expired since; then it has no related aggregates any more.
    versions = {key: copy.loaded.version for key, copy in working_copies.items()}
    outdated = {key for key, loaded in from_cache.items() if 0 < loaded.version < versions.get(key, 0)}
    return {kind for kind, _ in outdated - written_by_us}


def _needs_fresh_read(
    working_copies: Mapping[AggregateKey, WorkingCopy], batch: Sequence[PendingMessage]
) -> bool:
    """Whether a decision rests on a cached version that no write checks.

    An idempotent effect may run on an outdated version, as long as nothing else was decided about its
    aggregate.
    """
    effects = {
        pending
        for pending in batch
        if isinstance(pending.outcome, RunEffect) and pending.aggregate.effects_are_idempotent
    }
    others = {pending.aggregate_key for pending in batch if pending not in effects}
    harmless = {pending.aggregate_key for pending in effects} - others
    unchecked = {key for key, copy in working_copies.items() if copy.loaded.from_cache and not copy.changed}
    return bool(unchecked - harmless)


def _too_old(pending: PendingMessage) -> TooOld:
    assert pending.aggregate.ttl is not None
    return TooOld(
        f"it was sent at {pending.envelope.time}, and there is nothing in {pending.aggregate.kind} that "
        "it is about."
        f" These are deleted {pending.aggregate.ttl.days} days after their last change, so the message "
        "may have been"
        " handled before; drop it, or do by hand what it asks for"
    )
