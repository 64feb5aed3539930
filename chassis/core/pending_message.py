"""One delivery between its arrival and its acknowledgement."""

from dataclasses import dataclass
from typing import Any

from chassis.bus.protocol import Delivery
from chassis.core.decision import RunEffect
from chassis.core.definition import Aggregate
from chassis.core.message_trace import MessageTrace
from chassis.messaging.envelope import Envelope
from chassis.messaging.message import Message
from chassis.store.lease import Lease
from chassis.store.protocol import NO_TIMES, AggregateKey, HandlingTimes
from chassis.telemetry.tracing import Span


@dataclass(slots=True, eq=False)
class PendingMessage:
    """A parsed delivery and the aggregate that handles it.

    `result` is what the effect returned that its decision asked for; `effect_error` is set if it returned
    nothing. `has_slot`: whether it is one of the limited number of effects that run at once. `lease`: the
    right to run an effect that has no idempotency key. `outcome` is set when the message has been decided
    about: the messages to publish, an effect to run first, or the error that stopped it. `trace` is the trace
    of the message; None: it follows from the envelope alone. `span` is set if that is sampled. `decided`:
    whether this delivery has led to the stored decision (True) or found it stored (False). `states`: the
    aggregate's state before and after the decision; None if this delivery has led to none.
    """

    delivery: Delivery
    envelope: Envelope
    message: Message
    aggregate: Aggregate[Any]
    key: str
    result: Any = None
    outcome: tuple[Envelope, ...] | RunEffect | Exception | None = None
    times: HandlingTimes = NO_TIMES
    trace: MessageTrace | None = None
    span: Span | None = None
    decided: bool | None = None
    states: tuple[Any, Any] | None = None
    has_slot: bool = False
    lease: Lease | None = None
    effect_error: Exception | None = None

    @property
    def aggregate_key(self) -> AggregateKey:
        return self.aggregate.kind, self.key

    @property
    def needs_lease(self) -> bool:
        """If its decision requests an effect."""
        return not self.aggregate.effects_are_idempotent

    @property
    def is_urgent(self) -> bool:
        """A slot waits for it, or it has an effect that a crash repeats until its result is stored."""
        return self.has_slot or self.lease is not None
