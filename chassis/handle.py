"""The only path that a message can take, for a whole group of waiting messages at once (group commit):

    load -> handled already? -> decide -> one atomic write -> (batch.py:) publish, confirmed -> ack, last.

A crash between any two steps is healed by redelivery: what was written is known by the message's id and is said
again, byte for byte; what was not written is decided anew. The check comes after the load, so that the version
guard covers it (Eugene Tolmachev's and Szymon Pobiega's "consistent messaging" explain why).
"""

import asyncio
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

from chassis.bus import Delivery
from chassis.decision import Ask, Decision
from chassis.known import Known
from chassis.service import Aggregate, Alongside, Service, TooOld
from chassis.store import HANDLED_MAX, UNCHANGED_MAX, Change, Handled, Loaded, Store, StoreRefused, StoreUnavailable
from contracts.envelope import Envelope, seal
from contracts.identity import derived_id
from contracts.message import Message

SAVES_MAX = 8

Clock = Callable[[], datetime]
Place = tuple[str, str]  # kind, key
Around = dict[str, dict[str, Any]]  # kind -> key -> state


def utc_now() -> datetime:
    return datetime.now(UTC)


@dataclass(slots=True, eq=False)
class Work:
    """One delivery on its way. `outcome`: what to say, a question to ask first, or why it failed."""

    delivery: Delivery
    envelope: Envelope
    message: Message
    aggregate: Aggregate
    key: str
    answer: Any = None
    outcome: tuple[Envelope, ...] | Ask | Exception | None = None

    @property
    def place(self) -> Place:
        return self.aggregate.kind, self.key


@dataclass(slots=True)
class Draft:
    """An aggregate as it was loaded, and as the messages of this group change it one by one."""

    of: Aggregate | Alongside  # what stands alongside handles no message of its own
    loaded: Loaded
    state: Any
    said: dict[str, tuple[Envelope, ...]] = field(default_factory=dict)
    handled: list[Handled] = field(default_factory=list)
    changed: bool = False

    @property
    def overgrown(self) -> bool:
        """Whether an earlier version, which kept all ids, let it grow. The next write prunes it, so one is needed."""
        return len(self.loaded.handled) > HANDLED_MAX + UNCHANGED_MAX


async def handle(service: Service, store: Store, known: Known, group: Sequence[Work], clock: Clock) -> None:
    """Give every work of the group its outcome, written down. Raises StoreUnavailable; then nothing is settled."""
    try:
        await _decide_and_save(service, store, known, group, clock)
    except StoreRefused as refusal:
        if len(group) == 1:
            group[0].outcome = refusal
            return
        for work in group:  # one that cannot be written must not take the others down
            await handle(service, store, known, [work], clock)
    except StoreUnavailable:
        known.doubt(service.kinds)  # or it would be tried for ever on what an unanswered write has made old
        raise


async def _decide_and_save(service: Service, store: Store, known: Known, group: Sequence[Work], clock: Clock) -> None:
    recalled: dict[Place, Loaded] = {}
    for attempt in range(SAVES_MAX):
        drafts = await _load(store, None if attempt else known, group)
        if others := _overtaken(recalled, drafts, group):
            known.doubt(others)
        recalled = {place: draft.loaded for place, draft in drafts.items() if draft.loaded.recalled}
        around = _around(drafts, group)
        for work in group:
            work.outcome = _decide(service, drafts, around, work, clock)
        if _unsure(drafts, group):
            continue
        changes = [change(draft, clock) for draft in drafts.values() if draft.changed]
        together = any(draft.changed and isinstance(draft.of, Alongside) for draft in drafts.values())
        if not changes or await store.save(changes, together=together):
            _keep(known, drafts, changes)
            return
        # Somebody else was faster, or the answer was lost. Which of the two, the next load tells.
        await asyncio.sleep(random.uniform(0, 0.005) * 2**attempt)
    raise StoreUnavailable(f"{SAVES_MAX} writes in a row met newer versions")


async def _load(store: Store, known: Known | None, group: Sequence[Work]) -> dict[Place, Draft]:
    aggregates = {work.aggregate.kind: work.aggregate for work in group}.values()
    found = [await _load_kind(store, known, aggregate, group) for aggregate in aggregates]  # nearly always one
    loaded = [item for drafts in found for item in drafts.items()]
    # What stands alongside one work may handle another one's message: then it is the same draft.
    drafts = dict(sorted(loaded, key=lambda item: isinstance(item[1].of, Aggregate)))
    await _load_said(store, group, drafts)
    return drafts


async def _load_kind(
    store: Store, known: Known | None, aggregate: Aggregate, group: Sequence[Work]
) -> dict[Place, Draft]:
    """The aggregates of one kind, and what stands alongside them. Without `known` all of it is read."""
    works = [work for work in group if work.aggregate is aggregate]
    found = _recalled(known, aggregate, works) if known else {}
    if missing := {work.key for work in works} - found.keys():
        found |= await store.load(aggregate.kind, missing)
    drafts = {(aggregate.kind, key): _draft(aggregate, loaded) for key, loaded in found.items()}
    if (beside := aggregate.alongside) is None:
        return drafts
    told = [(drafts[work.place].state, work.message) for work in works]
    keys = {key for state, message in told if not isinstance(state, Exception) for key in beside.keys(state, message)}
    around = known.recall(beside.kind, keys) if known else {}
    if missing := keys - around.keys():
        around |= await store.load(beside.kind, missing)
    # Where both are of one kind, an aggregate of this group may also stand alongside: its own draft counts.
    return {(beside.kind, key): _draft(beside, loaded) for key, loaded in around.items()} | drafts


def _recalled(known: Known, aggregate: Aggregate, works: Sequence[Work]) -> dict[str, Loaded]:
    """What need not be read: what we know, and what is only just begun."""
    first = {work.key: work.message for work in reversed(works)}
    begun = () if known.doubts(aggregate.kind) else aggregate.begun_by
    new = (key for key, message in first.items() if isinstance(message, begun))
    return {key: Loaded(aggregate.kind, key, recalled=True) for key in new} | known.recall(aggregate.kind, first)


def _overtaken(recalled: Mapping[Place, Loaded], drafts: Mapping[Place, Draft], group: Sequence[Work]) -> set[str]:
    """The kinds that others write too: what we recalled of them is old, and not by a write of our own."""
    ours = {work.place for work in group if work.envelope.id in drafts[work.place].loaded.handled}
    # What was recalled may have expired since; then nothing is read alongside it any more.
    found = {place: draft.loaded.version for place, draft in drafts.items()}
    newer = {place for place, loaded in recalled.items() if 0 < loaded.version < found.get(place, 0)}
    return {kind for kind, _ in newer - ours}


def _unsure(drafts: Mapping[Place, Draft], group: Sequence[Work]) -> bool:
    """Whether anything was decided on what may be old, and no write will tell."""
    asking = {work for work in group if isinstance(work.outcome, Ask) and work.aggregate.asks_by_key}
    harmless = {work.place for work in asking} - {work.place for work in group if work not in asking}
    old = {place for place, draft in drafts.items() if draft.loaded.recalled and not draft.changed}
    return bool(old - harmless)


def _draft(of: Aggregate | Alongside, loaded: Loaded) -> Draft:
    """A state that this code cannot read is its own messages' problem, not their group's: the error takes its place."""
    try:
        return Draft(of, loaded, of.read(loaded))
    except ValueError as error:
        return Draft(of, loaded, error)


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


def _around(drafts: Mapping[Place, Draft], group: Sequence[Work]) -> Around:
    """The states alongside, as deciders see them; kept current while the group is decided."""
    around: Around = {work.aggregate.alongside.kind: {} for work in group if work.aggregate.alongside}
    for (kind, key), draft in drafts.items():
        if kind in around:
            around[kind][key] = draft.state
    return around


def _decide(
    service: Service, drafts: dict[Place, Draft], around: Around, work: Work, clock: Clock
) -> tuple[Envelope, ...] | Ask | Exception:
    draft = drafts[work.place]
    if isinstance(draft.state, Exception):
        return draft.state
    if (said := draft.said.get(work.envelope.id)) is not None:
        return said
    if draft.loaded.version == 0 and not draft.changed and work.aggregate.forgets(work.envelope.said_at, clock()):
        return _too_old(work)
    subject = work.message if work.answer is None else work.answer
    beside = work.aggregate.alongside
    neighbours = () if beside is None else (around.get(beside.kind, {}),)
    dated = (work.envelope.said_at,) if work.aggregate.dated else ()
    try:
        decision = work.aggregate.decide(draft.state, subject, *neighbours, *dated)
    except Exception as error:  # a bug on one message: it alone goes to the retry ladder
        return error
    if isinstance(decision, Ask):
        return decision
    if decision.alongside:
        assert beside is not None
        around[beside.kind] |= decision.alongside
        for key, state in decision.alongside.items():
            drafts[beside.kind, key].state, drafts[beside.kind, key].changed = state, True
    says = note(service, draft, work.envelope, decision, clock)
    if work.aggregate.kind in around:
        around[work.aggregate.kind][work.key] = draft.state
    return says


def _too_old(work: Work) -> TooOld:
    assert work.aggregate.kept_for is not None
    return TooOld(
        f"it was said at {work.envelope.time}, and there is nothing in {work.aggregate.kind} that it is about."
        f" These are deleted {work.aggregate.kept_for.days} days after their last change, so the message may have been"
        " handled before; drop it, or do by hand what it asks for"
    )


def note(
    service: Service, draft: Draft, cause: Envelope, decision: Decision[Any], clock: Clock
) -> tuple[Envelope, ...]:
    """Put the decision into the draft: the state, the handled id (also of a no-op), and the words, sealed.

    What is not to be remembered depends on the message alone, also its time: so it comes out the same again.
    """
    now = clock()
    changed = decision.state is not draft.state and decision.state != draft.state
    led = {"correlation_id": cause.correlation_id, "causation_id": cause.id, "traceparent": cause.traceparent}
    says = tuple(
        seal(message, id=derived_id(cause.id, service.name, index), source=service.name, now=now, **led)
        for index, message in enumerate(decision.says)
    )
    if not decision.remember and not changed:
        says = tuple(replace(envelope, time=cause.known_time) for envelope in says)
        if not draft.overgrown:
            return says
    status = (_status(draft.state), _status(decision.state))
    draft.state = decision.state
    draft.said[cause.id] = says
    draft.handled.append(Handled(cause.id, cause.type, now, status, says, cause.correlation_id, changed))
    draft.changed = True
    return says


def change(draft: Draft, clock: Clock) -> Change:
    """What is to be written of it."""
    aggregate, loaded = draft.of, draft.loaded
    if isinstance(aggregate, Alongside):
        return Change(loaded, aggregate.codec.dump(draft.state))
    deadline = aggregate.deadline
    deadline_at = deadline.due_at(draft.state, loaded.deadline_at, clock()) if deadline else None
    return Change(
        loaded,
        aggregate.codec.dump(draft.state),
        handled=draft.handled,
        deadline_at=deadline_at,
        handled_max=aggregate.handled_max or HANDLED_MAX,
        kept_until=None if deadline_at else aggregate.kept_until(draft.state, clock()),
        changed_at=clock(),
    )


def _keep(known: Known, drafts: Mapping[Place, Draft], changes: Sequence[Change]) -> None:
    """The drafts as they are now stored, if it is of use to remember them."""
    written = {(each.loaded.kind, each.loaded.key): each for each in changes}
    for place, draft in drafts.items():
        if draft.of.remembered:
            result = written[place].result(draft.state) if place in written else draft.loaded
            known.keep([result]) if result else known.forget(place)


def _status(state: Any) -> str:
    return str(getattr(state, "status", ""))
