"""The path for a read or a write that no delivery drives: somebody waits at the HTTP door for the answer.

Nobody redelivers what a crash interrupts here, so the document is marked in the same write; this process publishes
at once and clears the mark, and the sweeper finds what it could not (see deadline.py).
"""

from datetime import datetime
from typing import TYPE_CHECKING, Any

from chassis.core.decision import Decision, RunEffect
from chassis.core.definition import Aggregate
from chassis.core.process import SAVES_MAX, conflict_backoff
from chassis.core.working_copy import WorkingCopy, apply_decision, build_change
from chassis.store.protocol import Change, Loaded, StoreUnavailable
from contracts.envelope import Envelope
from contracts.identity import new_id

if TYPE_CHECKING:
    from chassis.runtime import Runtime


async def load_state(runtime: "Runtime", aggregate: Aggregate, key: str) -> Any:
    """The state as it is now, to be looked at."""
    return aggregate.read((await runtime.store.load(aggregate.kind, [key]))[key])


async def execute(
    runtime: "Runtime", aggregate: Aggregate, key: str, message: Any, *, message_id: str = ""
) -> Decision[Any]:
    """Load, decide, write, publish. `message` need not be a contract: it never travels.

    Whatever the decider raises comes back to the caller, and nothing is written then. Raises StoreUnavailable
    when the outcome is unknown; the same `message_id` may be tried again.
    """
    # As this service was set up: how long it is kept is a setting.
    aggregate = next((each for each in runtime.service.aggregates if each.kind == aggregate.kind), aggregate)
    name = type(message).__name__
    cause = Envelope(message_id or str(new_id()), name, "", key, "", correlation_id=key, causation_id="", body=b"")
    tried: Change | None = None
    backoff = conflict_backoff()
    for _ in range(SAVES_MAX):
        loaded = (await runtime.store.load(aggregate.kind, [key]))[key]
        state = aggregate.read(loaded)
        if cause.id in loaded.handled:
            return Decision(state)  # our own earlier try was written; the sweeper says what it had to say
        if tried is not None and _may_be_forgotten(tried, loaded):
            raise StoreUnavailable("so many others wrote at once that nobody knows whether this change was written")
        decision = aggregate.decide(state, message)
        assert not isinstance(decision, RunEffect) and not decision.related, "not at the HTTP door"
        working_copy = WorkingCopy(aggregate, loaded, state)
        emits = apply_decision(runtime.service, working_copy, cause, decision, runtime.clock)
        if not working_copy.changed:
            return decision  # nothing to remember, and at the door nothing is said of that either
        tried = written = build_change(working_copy, runtime.clock)
        kept_until = written.kept_until
        if emits:  # it must not expire before it is published
            written.unpublished, written.kept_until = True, None
        if await runtime.store.save([written]):
            await _publish(runtime, written, kept_until)
            return decision
        await backoff.pause()
    raise StoreUnavailable(f"{SAVES_MAX} writes in a row met newer versions")


def _may_be_forgotten(tried: Change, now: Loaded) -> bool:
    """Whether a write of `tried` can have been followed by so many others that its message id is pruned.

    The store prunes the oldest ids first, so each newer id that pushed it out is still there.
    """
    return len(now.handled - tried.loaded.handled) >= tried.unchanged_max


async def _publish(runtime: "Runtime", written: Change, kept_until: datetime | None) -> None:
    envelopes = [envelope for handled in written.handled for envelope in handled.emits]
    if not envelopes:
        return  # then a silent broker is nobody's business
    results = await runtime.bus.publish([envelope.wire_message() for envelope in envelopes])
    # What an earlier write could not publish is still marked, and left to the sweeper with all the rest.
    if not any(results) and not written.loaded.unpublished:
        loaded = written.loaded
        await runtime.store.published(loaded.kind, loaded.key, loaded.version + 1, kept_until)
