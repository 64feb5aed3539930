"""The trace in which a message is processed, and which its outgoing messages carry on.

| message                                             | its trace                                     |
|-----------------------------------------------------|-----------------------------------------------|
| with a context from a service                       | the context's, and its sampling decision      |
| a client's command                                  | the journey's; sampled by its id              |
| without a context                                   | the journey's; sampled by its id              |
| a reminder that a service sends to itself           | a new one, linked to the journey's beginning; |
|                                                     | sampled as the aggregate's first message was  |
| redriven, backfilled, or from a later rung of retry | a new one, linked to the message's context    |

The setting TRACE_DELAYED=continue keeps the last two in the trace of the journey, too.
"""

from typing import NamedTuple

from chassis.messaging.catalog import Catalog
from chassis.messaging.envelope import Envelope, WireMessage
from chassis.messaging.message import Command, Message, Sender
from chassis.messaging.origin import HANDED_BACK, Origin
from chassis.messaging.senders import CLIENT, OPERATOR
from chassis.telemetry import span_ids, tracing

# The first rung of the retry ladder continues the trace.
_TRIES_IN_TRACE = 1


class MessageTrace(NamedTuple):
    """Two traceparents, whose span ids have no meaning.

    `base` depends on the message alone. `current` is that of this delivery: a late one has a new trace.
    """

    base: str
    current: str


def tries(wire_message: WireMessage) -> int:
    """How often the message has returned from the retry ladder."""
    return wire_message.attempt + wire_message.postponed


def trace_of(
    wire_message: WireMessage, envelope: Envelope, message: Message, *, reader: str, catalog: Catalog
) -> MessageTrace:
    """The trace in which `reader` processes a delivery."""
    base = envelope.traceparent
    if not base or _from_client(wire_message, message, reader=reader, catalog=catalog):
        base = base_context(envelope, reader)
    late = is_redriven(wire_message) or tries(wire_message) > _TRIES_IN_TRACE
    if late and not tracing.STATE.delayed_continue:
        sampled = span_ids.is_sampled(base)
        new = span_ids.traceparent(
            span_ids.random_trace_id(), span_ids.journey_span_id(envelope.id), sampled=sampled
        )
        return MessageTrace(base, new)
    return MessageTrace(base, base)


def trace_of_envelope(envelope: Envelope, reader: str) -> MessageTrace:
    """The trace of a message without a delivery."""
    base = envelope.traceparent or base_context(envelope, reader)
    return MessageTrace(base, base)


def base_context(cause: Envelope, reader: str) -> str:
    """The context that a message without one begins."""
    sampled = tracing.STATE.chooses(cause.id)
    new_trace = is_reminder(cause, reader) and not tracing.STATE.delayed_continue
    trace = span_ids.trace_id(cause.id if new_trace else cause.correlation_id)
    return span_ids.traceparent(trace, span_ids.journey_span_id(cause.correlation_id), sampled=sampled)


def reminder_context(reminder: Envelope, of_aggregate: str) -> str:
    """The traceparent of a reminder that follows the sampling decision of its aggregate.

    `of_aggregate`: the traceparent of the aggregate's first message. If it is empty the result is, too: then
    the consumer decides by the reminder's id.
    """
    if not of_aggregate:
        return ""
    in_journey = tracing.STATE.delayed_continue
    trace = span_ids.trace_id(reminder.correlation_id if in_journey else reminder.id)
    sampled = span_ids.is_sampled(of_aggregate)
    return span_ids.traceparent(trace, span_ids.create_span_id(reminder.id), sampled=sampled)


def beginning_of(correlation_id: str) -> str:
    """The context of the request that began a journey."""
    trace = span_ids.trace_id(correlation_id)
    span = span_ids.journey_span_id(correlation_id)
    return span_ids.traceparent(trace, span, sampled=True)


def is_reminder(envelope: Envelope, reader: str) -> bool:
    """Whether the service's own timer has sent it: then no message has caused it."""
    return envelope.source == reader and not envelope.causation_id


def is_redriven(wire_message: WireMessage) -> bool:
    """Whether an operator has handed it back to its queue: by a redrive, or by a backfill."""
    return wire_message.exchange == HANDED_BACK and wire_message.user_id == OPERATOR


def _from_client(wire_message: WireMessage, message: Message, *, reader: str, catalog: Catalog) -> bool:
    """A client may neither name the journey's trace nor demand that it is sampled."""
    if not isinstance(message, Command) or message.SENDER is not Sender.CLIENT:
        return False
    return catalog.role_of(Origin.of(wire_message, reader).user) == CLIENT
