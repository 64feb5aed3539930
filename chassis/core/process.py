"""The only path that a message can take, for a whole group of waiting messages at once (group commit):

    load -> handled already? -> decide -> one atomic write -> (dispatcher.py:) publish, confirmed -> ack, last.

A crash between any two steps is healed by redelivery: what was written is known by the message's id and is said
again, byte for byte; what was not written is decided anew. The check comes after the load, so that the version
guard covers it (Eugene Tolmachev's and Szymon Pobiega's "consistent messaging" explain why).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from chassis.backoff import Backoff
from chassis.bus.protocol import Delivery
from chassis.clock import Clock
from chassis.core.aggregate_cache import AggregateCache
from chassis.core.decision import RunEffect
from chassis.core.definition import Aggregate, RelatedAggregates, ServiceDefinition, TooOld
from chassis.core.working_copy import WorkingCopy, apply_decision, build_change
from chassis.store.protocol import (
    Change,
    Loaded,
    Store,
    StoreRefused,
    StoreUnavailable,
)
from contracts.envelope import Envelope
from contracts.message import Message

SAVES_MAX = 8


def conflict_backoff() -> Backoff:
    """The pauses after a write that met a newer version. The loser of the next round must not be the same one again."""
    return Backoff(0.0025, 1.0, jitter=1.0)


AggregateKey = tuple[str, str]  # kind, key
RelatedStates = dict[str, dict[str, Any]]  # kind -> key -> state


@dataclass(slots=True, eq=False)
class PendingMessage:
    """One delivery on its way. `outcome`: what to say, a question to ask first, or why it failed."""

    delivery: Delivery
    envelope: Envelope
    message: Message
    aggregate: Aggregate
    key: str
    result: Any = None
    outcome: tuple[Envelope, ...] | RunEffect | Exception | None = None

    @property
    def aggregate_key(self) -> AggregateKey:
        return self.aggregate.kind, self.key


async def process_group(
    service: ServiceDefinition, store: Store, cache: AggregateCache, group: Sequence[PendingMessage], clock: Clock
) -> None:
    """Give every work of the group its outcome, written down. Raises StoreUnavailable; then nothing is settled."""
    try:
        await _decide_and_save(service, store, cache, group, clock)
    except StoreRefused as refusal:
        if len(group) == 1:
            group[0].outcome = refusal
            return
        for pending in group:  # one that cannot be written must not take the others down
            await process_group(service, store, cache, [pending], clock)
    except StoreUnavailable:
        cache.bypass(service.kinds)  # or it would be tried for ever on what an unanswered write has made old
        raise


async def _decide_and_save(
    service: ServiceDefinition, store: Store, cache: AggregateCache, group: Sequence[PendingMessage], clock: Clock
) -> None:
    from_cache: dict[AggregateKey, Loaded] = {}
    backoff = conflict_backoff()
    for attempt in range(SAVES_MAX):
        working_copies = await _load(store, None if attempt else cache, group)
        if others := _overtaken(from_cache, working_copies, group):
            cache.bypass(others)
        from_cache = {
            aggregate_key: working_copy.loaded
            for aggregate_key, working_copy in working_copies.items()
            if working_copy.loaded.from_cache
        }
        related = _related_states(working_copies, group)
        for pending in group:
            pending.outcome = _decide(service, working_copies, related, pending, clock)
        if _unsure(working_copies, group):
            continue
        changes = [
            build_change(working_copy, clock) for working_copy in working_copies.values() if working_copy.changed
        ]
        together = any(
            working_copy.changed and isinstance(working_copy.of, RelatedAggregates)
            for working_copy in working_copies.values()
        )
        if not changes or await store.save(changes, together=together):
            _keep(cache, working_copies, changes)
            return
        # Somebody else was faster, or the answer was lost. Which of the two, the next load tells.
        await backoff.pause()
    raise StoreUnavailable(f"{SAVES_MAX} writes in a row met newer versions")


async def _load(
    store: Store, cache: AggregateCache | None, group: Sequence[PendingMessage]
) -> dict[AggregateKey, WorkingCopy]:
    aggregates = {pending.aggregate.kind: pending.aggregate for pending in group}.values()
    found = [await _load_kind(store, cache, aggregate, group) for aggregate in aggregates]  # nearly always one
    loaded = [item for working_copies in found for item in working_copies.items()]
    # What stands alongside one work may handle another one's message: then it is the same draft.
    working_copies = dict(sorted(loaded, key=lambda item: isinstance(item[1].of, Aggregate)))
    await _load_said(store, group, working_copies)
    return working_copies


async def _load_kind(
    store: Store, cache: AggregateCache | None, aggregate: Aggregate, group: Sequence[PendingMessage]
) -> dict[AggregateKey, WorkingCopy]:
    """The aggregates of one kind, and what stands alongside them. Without `known` all of it is read."""
    pending_messages = [pending for pending in group if pending.aggregate is aggregate]
    found = _recalled(cache, aggregate, pending_messages) if cache else {}
    if missing := {pending.key for pending in pending_messages} - found.keys():
        found |= await store.load(aggregate.kind, missing)
    working_copies = {(aggregate.kind, key): _working_copy(aggregate, loaded) for key, loaded in found.items()}
    if (related_to := aggregate.related) is None:
        return working_copies
    told = [(working_copies[pending.aggregate_key].state, pending.message) for pending in pending_messages]
    keys = {
        key for state, message in told if not isinstance(state, Exception) for key in related_to.keys(state, message)
    }
    related = cache.get_many(related_to.kind, keys) if cache else {}
    if missing := keys - related.keys():
        related |= await store.load(related_to.kind, missing)
    # Where both are of one kind, an aggregate of this group may also stand alongside: its own draft counts.
    return {
        (related_to.kind, key): _working_copy(related_to, loaded) for key, loaded in related.items()
    } | working_copies


def _recalled(
    cache: AggregateCache, aggregate: Aggregate, pending_messages: Sequence[PendingMessage]
) -> dict[str, Loaded]:
    """What need not be read: what we know, and what is only just begun."""
    first = {pending.key: pending.message for pending in reversed(pending_messages)}
    begun = () if cache.is_bypassed(aggregate.kind) else aggregate.created_by
    new = (key for key, message in first.items() if isinstance(message, begun))
    return {key: Loaded(aggregate.kind, key, from_cache=True) for key in new} | cache.get_many(aggregate.kind, first)


def _overtaken(
    from_cache: Mapping[AggregateKey, Loaded],
    working_copies: Mapping[AggregateKey, WorkingCopy],
    group: Sequence[PendingMessage],
) -> set[str]:
    """The kinds that others write too: what we recalled of them is old, and not by a write of our own."""
    ours = {
        pending.aggregate_key
        for pending in group
        if pending.envelope.id in working_copies[pending.aggregate_key].loaded.handled
    }
    # What was recalled may have expired since; then nothing is read alongside it any more.
    found = {aggregate_key: working_copy.loaded.version for aggregate_key, working_copy in working_copies.items()}
    newer = {
        aggregate_key
        for aggregate_key, loaded in from_cache.items()
        if 0 < loaded.version < found.get(aggregate_key, 0)
    }
    return {kind for kind, _ in newer - ours}


def _unsure(working_copies: Mapping[AggregateKey, WorkingCopy], group: Sequence[PendingMessage]) -> bool:
    """Whether anything was decided on what may be old, and no write will tell."""
    asking = {
        pending
        for pending in group
        if isinstance(pending.outcome, RunEffect) and pending.aggregate.effects_are_idempotent
    }
    harmless = {pending.aggregate_key for pending in asking} - {
        pending.aggregate_key for pending in group if pending not in asking
    }
    old = {
        aggregate_key
        for aggregate_key, working_copy in working_copies.items()
        if working_copy.loaded.from_cache and not working_copy.changed
    }
    return bool(old - harmless)


def _working_copy(of: Aggregate | RelatedAggregates, loaded: Loaded) -> WorkingCopy:
    """A state that this code cannot read is its own messages' problem, not their group's: the error takes its place."""
    try:
        return WorkingCopy(of, loaded, of.read(loaded))
    except ValueError as error:
        return WorkingCopy(of, loaded, error)


async def _load_said(
    store: Store, group: Sequence[PendingMessage], working_copies: dict[AggregateKey, WorkingCopy]
) -> None:
    """Only for what comes again: the stored words are large, and nearly always not needed."""
    again: dict[str, dict[str, list[str]]] = {}
    for pending in group:
        if pending.envelope.id in working_copies[pending.aggregate_key].loaded.handled:
            again.setdefault(pending.aggregate.kind, {}).setdefault(pending.key, []).append(pending.envelope.id)
    for kind, wanted in again.items():
        said = await store.said(kind, wanted)
        for key, ids in wanted.items():
            # One that is gone meanwhile made way for newer ones; then the write will meet a newer version.
            working_copies[kind, key].said.update({id_: said[id_] for id_ in ids if id_ in said})


def _related_states(
    working_copies: Mapping[AggregateKey, WorkingCopy], group: Sequence[PendingMessage]
) -> RelatedStates:
    """The states alongside, as deciders see them; kept current while the group is decided."""
    related: RelatedStates = {pending.aggregate.related.kind: {} for pending in group if pending.aggregate.related}
    for (kind, key), working_copy in working_copies.items():
        if kind in related:
            related[kind][key] = working_copy.state
    return related


def _decide(
    service: ServiceDefinition,
    working_copies: dict[AggregateKey, WorkingCopy],
    related: RelatedStates,
    pending: PendingMessage,
    clock: Clock,
) -> tuple[Envelope, ...] | RunEffect | Exception:
    working_copy = working_copies[pending.aggregate_key]
    if isinstance(working_copy.state, Exception):
        return working_copy.state
    if (said := working_copy.said.get(pending.envelope.id)) is not None:
        return said
    if (
        working_copy.loaded.version == 0
        and not working_copy.changed
        and pending.aggregate.forgets(pending.envelope.said_at, clock())
    ):
        return _too_old(pending)
    subject = pending.message if pending.result is None else pending.result
    related_to = pending.aggregate.related
    related_states = () if related_to is None else (related.get(related_to.kind, {}),)
    needs_timestamp = (pending.envelope.said_at,) if pending.aggregate.needs_timestamp else ()
    try:
        decision = pending.aggregate.decide(working_copy.state, subject, *related_states, *needs_timestamp)
    except Exception as error:  # a bug on one message: it alone goes to the retry ladder
        return error
    if isinstance(decision, RunEffect):
        return decision
    if decision.related:
        assert related_to is not None
        related[related_to.kind] |= decision.related
        for key, state in decision.related.items():
            working_copies[related_to.kind, key].state, working_copies[related_to.kind, key].changed = state, True
    emits = apply_decision(service, working_copy, pending.envelope, decision, clock)
    if pending.aggregate.kind in related:
        related[pending.aggregate.kind][pending.key] = working_copy.state
    return emits


def _too_old(pending: PendingMessage) -> TooOld:
    assert pending.aggregate.ttl is not None
    return TooOld(
        f"it was said at {pending.envelope.time}, and there is nothing in {pending.aggregate.kind} that it is about."
        f" These are deleted {pending.aggregate.ttl.days} days after their last change, so the message may have been"
        " handled before; drop it, or do by hand what it asks for"
    )


def _keep(cache: AggregateCache, working_copies: Mapping[AggregateKey, WorkingCopy], changes: Sequence[Change]) -> None:
    """The drafts as they are now stored, if it is of use to remember them."""
    written = {(each.loaded.kind, each.loaded.key): each for each in changes}
    for aggregate_key, working_copy in working_copies.items():
        if working_copy.of.cacheable:
            result = (
                written[aggregate_key].result(working_copy.state) if aggregate_key in written else working_copy.loaded
            )
            cache.keep([result]) if result else cache.forget(aggregate_key)
