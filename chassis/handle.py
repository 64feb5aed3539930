"""The only path that a message can take, for a whole group of waiting messages at once (group commit):

    load -> handled already? -> decide -> one atomic write -> (batch.py:) publish, confirmed -> ack, last.

A crash between any two steps is healed by redelivery: what was written is known by the message's id and is said
again, byte for byte; what was not written is decided anew. The check comes after the load, so that the version
guard covers it (Eugene Tolmachev's and Szymon Pobiega's "consistent messaging" explain why).
"""

import asyncio
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from chassis.bus import Delivery
from chassis.decision import Ask, Decision
from chassis.service import Aggregate, Codec, Service
from chassis.store import Change, Handled, Loaded, Store, StoreRefused, StoreUnavailable
from contracts.envelope import Envelope, seal
from contracts.identity import derived_id
from contracts.message import Message

SAVES_MAX = 8

Clock = Callable[[], datetime]
Place = tuple[str, str]  # kind, key
Around = dict[str, dict[str, Any]]  # kind -> key -> state


@dataclass(slots=True, eq=False)
class Work:
    """One delivery on its way. `outcome`: what to say, a question to ask first, or why it failed."""

    delivery: Delivery
    envelope: Envelope
    message: Message
    aggregate: Aggregate
    key: str
    answer: Any = None
    seen: Loaded | None = None
    outcome: tuple[Envelope, ...] | Ask | Exception | None = None

    @property
    def place(self) -> Place:
        return self.aggregate.kind, self.key


@dataclass(slots=True)
class Draft:
    """An aggregate as it was loaded, and as the messages of this group change it one by one."""

    aggregate: Aggregate | None  # None: an aggregate alongside, which handles no message of its own
    codec: Codec
    loaded: Loaded
    state: Any
    said: dict[str, tuple[Envelope, ...]] = field(default_factory=dict)
    handled: list[Handled] = field(default_factory=list)
    journey: str = ""
    changed: bool = False


async def handle(service: Service, store: Store, group: Sequence[Work], clock: Clock) -> None:
    """Give every work of the group its outcome, written down. Raises StoreUnavailable; then nothing is settled."""
    try:
        await _decide_and_save(service, store, group, clock)
    except StoreRefused as refusal:
        if len(group) == 1:
            group[0].outcome = refusal
            return
        for work in group:  # one that cannot be written must not take the others down
            await handle(service, store, [work], clock)


async def _decide_and_save(service: Service, store: Store, group: Sequence[Work], clock: Clock) -> None:
    for attempt in range(SAVES_MAX):
        drafts = await _load(store, group, again=attempt > 0)
        around = _around(drafts)
        for work in group:
            work.outcome = _decide(service, drafts, around, work, clock)
        if attempt == 0 and any(work.seen and isinstance(work.outcome, Exception) for work in group):
            continue  # it may only have seen an old state
        changes = [change(draft, clock) for draft in drafts.values() if draft.changed]
        together = any(draft.changed and draft.aggregate is None for draft in drafts.values())
        if not changes or await store.save(changes, together=together):
            return
        # Somebody else was faster, or the answer was lost. Which of the two, the next load tells.
        await asyncio.sleep(random.uniform(0, 0.005) * 2**attempt)
    raise StoreUnavailable(f"{SAVES_MAX} writes in a row met newer versions")


async def _load(store: Store, group: Sequence[Work], *, again: bool) -> dict[Place, Draft]:
    aggregates = {work.aggregate.kind: work.aggregate for work in group}.values()
    found = await asyncio.gather(*(_load_kind(store, a, group, again=again) for a in aggregates))
    drafts = {place: draft for drafts in found for place, draft in drafts.items()}
    await _load_said(store, group, drafts)
    return drafts


async def _load_kind(store: Store, aggregate: Aggregate, group: Sequence[Work], *, again: bool) -> dict[Place, Draft]:
    """The aggregates of one kind, and what stands alongside them: that is guessed from the messages alone, so that
    both are read at once; what only the states tell is read afterwards."""
    works = [work for work in group if work.aggregate is aggregate]
    # A work that comes back with an answer was loaded when it asked. The version guards that load like any other.
    seen = {} if again else {work.key: work.seen for work in works if work.seen is not None}
    missing = {work.key for work in works} - seen.keys()
    beside = aggregate.alongside
    guessed = {key for work in works for key in beside.keys(aggregate.start, work.message)} if beside else set()
    own, around = await asyncio.gather(
        store.load(aggregate.kind, missing) if missing else _nothing(),
        store.load(beside.kind, guessed) if beside and guessed else _nothing(),
    )
    drafts = {
        (aggregate.kind, key): Draft(
            aggregate, aggregate.codec, loaded, _read(aggregate.codec, loaded, aggregate.start)
        )
        for key, loaded in (own | seen).items()
    }
    if beside is None:
        return drafts
    states = [(drafts[work.place].state, work.message) for work in works]
    wanted = {
        key for state, message in states if not isinstance(state, Exception) for key in beside.keys(state, message)
    }
    if wanted - guessed:
        around |= await store.load(beside.kind, wanted - guessed)
    for key, loaded in around.items():
        drafts[beside.kind, key] = Draft(None, beside.codec, loaded, _read(beside.codec, loaded, beside.start(key)))
    return drafts


async def _nothing() -> dict[str, Loaded]:
    return {}


def _read(codec: Codec, loaded: Loaded, start: Any) -> Any:
    """A state that this code cannot read is its own messages' problem, not their group's: the error takes its place."""
    if loaded.state is None:
        return start
    try:
        return codec.load(loaded.state)
    except ValueError as error:
        return error


async def _load_said(store: Store, group: Sequence[Work], drafts: dict[Place, Draft]) -> None:
    """Only for what comes again: the stored words are large, and nearly always not needed."""
    again: dict[str, dict[str, list[str]]] = {}
    for work in group:
        if work.envelope.id in drafts[work.place].loaded.handled:
            again.setdefault(work.aggregate.kind, {}).setdefault(work.key, []).append(work.envelope.id)
    for kind, wanted in again.items():
        said = await store.said(kind, wanted)
        for key, ids in wanted.items():
            # One that is gone meanwhile made way for newer ones; then the write will meet a newer version.
            drafts[kind, key].said.update({id_: said[id_] for id_ in ids if id_ in said})


def _around(drafts: dict[Place, Draft]) -> Around:
    """The states alongside, as deciders see them; kept current while the group is decided."""
    around: Around = {}
    for (kind, key), draft in drafts.items():
        if draft.aggregate is None:
            around.setdefault(kind, {})[key] = draft.state
    return around


def _decide(
    service: Service, drafts: dict[Place, Draft], around: Around, work: Work, clock: Clock
) -> tuple[Envelope, ...] | Ask | Exception:
    draft = drafts[work.place]
    if isinstance(draft.state, Exception):
        return draft.state
    if (said := draft.said.get(work.envelope.id)) is not None:
        return said
    subject = work.message if work.answer is None else work.answer
    beside = work.aggregate.alongside
    neighbours = () if beside is None else (around.get(beside.kind, {}),)
    dated = (work.envelope.said_at,) if work.aggregate.dated else ()
    try:
        decision = work.aggregate.decide(draft.state, subject, *neighbours, *dated)
    except Exception as error:  # a bug on one message: it alone goes to the retry ladder
        return error
    if isinstance(decision, Ask):
        # Unless this group changes it: then its stored version is about to be another.
        work.seen = None if draft.changed else draft.loaded
        return decision
    if decision.alongside:
        assert beside is not None
        around[beside.kind] |= decision.alongside
        for key, state in decision.alongside.items():
            drafts[beside.kind, key].state, drafts[beside.kind, key].changed = state, True
    return note(service, draft, work.envelope, decision, clock)


def note(
    service: Service, draft: Draft, cause: Envelope, decision: Decision[Any], clock: Clock
) -> tuple[Envelope, ...]:
    """Put the decision into the draft: the state, the handled id (also of a no-op), and the words, sealed."""
    now = clock()
    status = (_status(draft.state), _status(decision.state))
    says = tuple(
        seal(
            message,
            id=derived_id(cause.id, service.name, index),
            source=service.name,
            now=now,
            correlation_id=cause.correlation_id,
            causation_id=cause.id,
            traceparent=cause.traceparent,
        )
        for index, message in enumerate(decision.says)
    )
    draft.state = decision.state
    draft.said[cause.id] = says
    draft.handled.append(Handled(cause.id, cause.type, now, status, says))
    draft.journey = draft.journey or cause.correlation_id
    draft.changed = True
    return says


def change(draft: Draft, clock: Clock) -> Change:
    """What is to be written of it."""
    aggregate, loaded = draft.aggregate, draft.loaded
    if aggregate is None:
        return Change(loaded, draft.codec.dump(draft.state))
    deadline_at = None
    if (deadline := aggregate.deadline) and deadline.waiting(draft.state):
        deadline_at = loaded.deadline_at or clock() + deadline.after
    return Change(
        loaded,
        draft.codec.dump(draft.state),
        journey=draft.journey,
        handled=draft.handled,
        deadline_at=deadline_at,
        handled_max=aggregate.handled_max,
        kept_until=None if aggregate.kept_for is None else clock() + aggregate.kept_for,
    )


def _status(state: Any) -> str:
    return str(getattr(state, "status", ""))
