"""The path for a write that no delivery drives: somebody waits at the HTTP door for the answer.

Nobody redelivers what a crash interrupts here, so the document is marked in the same write; this process publishes
at once and clears the mark, and the sweeper finds what it could not (see deadline.py).
"""

import asyncio
import random
from typing import TYPE_CHECKING, Any

from chassis.decision import Ask, Decision
from chassis.handle import SAVES_MAX
from chassis.service import Aggregate
from chassis.store import Change, Handled, StoreUnavailable
from contracts.envelope import seal
from contracts.identity import derived_id, new_id

if TYPE_CHECKING:
    from chassis.runtime import Runtime


async def decide_directly(
    runtime: "Runtime", aggregate: Aggregate, key: str, message: Any, *, message_id: str = ""
) -> Decision[Any]:
    """Load, decide, write, publish. `message` need not be a contract: it never travels.

    Whatever the decider raises comes back to the caller, and nothing is written then. Raises StoreUnavailable
    when the outcome is unknown; the same `message_id` may be tried again.
    """
    cause_id = message_id or str(new_id())
    for attempt in range(SAVES_MAX):
        loaded = (await runtime.store.load(aggregate.kind, [key]))[key]
        state = aggregate.start if loaded.state is None else aggregate.codec.load(loaded.state)
        if cause_id in loaded.handled:
            return Decision(state)  # our own earlier try was written; the sweeper says what it had to say
        decision = aggregate.decide(state, message)
        assert not isinstance(decision, Ask) and not decision.alongside, "not at the HTTP door"
        change = _change(runtime, aggregate, loaded, decision, cause_id, type(message).__name__, key)
        if await runtime.store.save([change]):
            await _publish(runtime, change)
            return decision
        await asyncio.sleep(random.uniform(0, 0.005) * 2**attempt)
    raise StoreUnavailable(f"{SAVES_MAX} writes in a row met newer versions")


def _change(
    runtime: "Runtime", aggregate: Aggregate, loaded: Any, decision: Decision[Any], cause_id: str, name: str, key: str
) -> Change:
    now = runtime.clock()
    says = tuple(
        seal(
            message,
            id=derived_id(cause_id, runtime.service.name, index),
            source=runtime.service.name,
            now=now,
            correlation_id=key,
            causation_id=cause_id,
        )
        for index, message in enumerate(decision.says)
    )
    status = str(getattr(decision.state, "status", ""))
    return Change(
        loaded,
        aggregate.codec.dump(decision.state),
        journey=key,
        handled=[Handled(cause_id, name, now, ("", status), says)],
        unpublished=bool(says),
        handled_max=aggregate.handled_max,
    )


async def _publish(runtime: "Runtime", change: Change) -> None:
    envelopes = [envelope for handled in change.handled for envelope in handled.says]
    results = await runtime.bus.publish([envelope.parcel() for envelope in envelopes])
    # What an earlier write could not publish is still marked, and left to the sweeper with all the rest.
    if envelopes and not any(results) and not change.loaded.unpublished:
        await runtime.store.published(change.loaded.kind, change.loaded.key, change.loaded.version + 1)
