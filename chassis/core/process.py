"""The only path that a message takes, for a whole batch of waiting messages at once (group commit):

    load -> already handled? -> decide -> one atomic write
    -> (committer.py:) publish, confirmed -> acknowledge, last

Redelivery recovers from a crash between any two steps. What was written is found by the message's id, and is
published again, byte for byte; what was not written is decided again. The check for the id comes after the
load, so that the version guard covers it (see "consistent messaging" by Eugene Tolmachev and Szymon Pobiega).
"""

from collections.abc import Mapping, Sequence

from chassis.backoff import Backoff
from chassis.clock import Clock
from chassis.core.decision import RunEffect
from chassis.core.definition import ResultRefused, ServiceDefinition, TooOld
from chassis.core.leases import EffectLeases
from chassis.core.loader import AggregateLoader
from chassis.core.message_spans import NO_SPANS, BatchSpans
from chassis.core.pending_message import PendingMessage
from chassis.core.unit_of_work import UnitOfWork
from chassis.core.working_copy import WorkingCopy
from chassis.messaging.envelope import Envelope
from chassis.store.cached import CachedStore, SaveResult
from chassis.store.protocol import AggregateKey, Loaded, StoreRefused, WriteConflicts
from chassis.telemetry import metrics

SAVES_MAX = 8


def conflict_backoff() -> Backoff:
    """The pauses after a write that met a newer version.

    They vary widely, so that competing writers separate.
    """
    return Backoff(0.0025, 1.0, jitter=1.0)


class MessageProcessor:
    """Decides about batches of messages and stores the result, for one service."""

    def __init__(self, service: ServiceDefinition, store: CachedStore, *, clock: Clock) -> None:
        self._service = service
        self._store = store
        self._clock = clock
        self._loader = AggregateLoader(store)
        self._leases = EffectLeases(service, clock)

    async def process(self, batch: Sequence[PendingMessage], spans: BatchSpans = NO_SPANS) -> None:
        """Set the outcome of every message, after it is stored.

        Raises StoreUnavailable, or WriteConflicts after SAVES_MAX of them; then nothing is settled.
        """
        try:
            await self._decide_and_save(batch, spans)
        except StoreRefused as error:
            if len(batch) == 1:
                batch[0].outcome = _refused(batch[0], error)
                return
            for pending in batch:  # one that cannot be written must not fail the others
                await self.process([pending], spans)

    async def _decide_and_save(self, batch: Sequence[PendingMessage], spans: BatchSpans) -> None:
        backoff = conflict_backoff()
        for _ in range(SAVES_MAX):
            with spans.load():
                copies = await self._loader.load(batch)
            unit = UnitOfWork(self._service, copies, self._clock)
            for pending in batch:
                pending.outcome = self._decide(unit, pending)
            read_set = _read_set(copies, batch)
            changes = unit.changes()
            with spans.save(len(changes)):
                result = await self._store.save(changes, together=unit.changes_related, read_set=read_set)
            if result is SaveResult.WRITTEN:
                return
            metrics.WRITE_CONFLICTS.labels(self._service.name).inc()
            # The next load shows why. If another instance was faster, a pause separates the two.
            if result is SaveResult.CONFLICT:
                await backoff.pause()
        raise WriteConflicts(f"{SAVES_MAX} writes in a row met newer versions")

    def _decide(
        self, unit: UnitOfWork, pending: PendingMessage
    ) -> tuple[Envelope, ...] | RunEffect | Exception:
        pending.states = None
        working_copy = unit.working_copies[pending.aggregate_key]
        message = pending.message if pending.result is None else pending.result
        if error := working_copy.unreadable or unit.unreadable_related(working_copy, message):
            return error
        outcome = self._outcome(unit, working_copy, pending, message=message)
        if not isinstance(outcome, RunEffect):
            self._leases.end(working_copy, pending)
        return outcome

    def _outcome(
        self, unit: UnitOfWork, working_copy: WorkingCopy, pending: PendingMessage, *, message: object
    ) -> tuple[Envelope, ...] | RunEffect | Exception:
        """`message`: or the result of its effect."""
        if (emitted := working_copy.emitted.get(pending.envelope.id)) is not None:
            # After a conflict, our own write of the round before is recognised by what it emitted.
            pending.decided = pending.decided is True and pending.outcome == emitted
            return emitted
        is_new = working_copy.loaded.version == 0 and not working_copy.changed
        if is_new and pending.aggregate.forgets(pending.envelope.sent_at, self._clock()):
            return _too_old(pending)
        if pending.effect_error is not None:
            return pending.effect_error
        try:
            decision = unit.decide(working_copy, pending.envelope, message)
            if isinstance(decision, RunEffect):
                if pending.needs_lease and pending.has_slot:
                    self._leases.take(working_copy, pending)
                return decision
        except Exception as error:  # a bug in one rule: this message alone goes to the retry ladder
            return error
        pending.decided = True
        pending.states = (working_copy.state, decision.state)
        return unit.apply(working_copy, pending.envelope, decision, times=pending.times, trace=pending.trace)


def _read_set(copies: Mapping[AggregateKey, WorkingCopy], batch: Sequence[PendingMessage]) -> list[Loaded]:
    """What the decisions rest on and no write checks.

    An idempotent effect may run on an outdated version, as long as nothing else was decided about its
    aggregate. Any other effect is decided about again, with a lease, which is written.
    """
    unwritten = [copy.loaded for copy in copies.values() if not copy.changed]
    if not unwritten:
        return []
    effects = {pending for pending in batch if isinstance(pending.outcome, RunEffect)}
    others = {pending.aggregate_key for pending in batch if pending not in effects}
    harmless = {pending.aggregate_key for pending in effects} - others
    return [loaded for loaded in unwritten if loaded.aggregate_key not in harmless]


def _refused(pending: PendingMessage, error: StoreRefused) -> StoreRefused:
    if pending.lease is None or pending.result is None:
        return error
    return ResultRefused(
        f"{error}; its effect has run ({type(pending.result).__name__}), and would run again if the message "
        "was redriven"
    )


def _too_old(pending: PendingMessage) -> TooOld:
    assert pending.aggregate.ttl is not None
    return TooOld(
        f"it was sent at {pending.envelope.time}, and there is nothing in {pending.aggregate.kind} that it "
        f"is about. These are deleted {pending.aggregate.ttl.days} days after their last change, so the "
        "message may have been handled before; drop it, or do by hand what it asks for"
    )
