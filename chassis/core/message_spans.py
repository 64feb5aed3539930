"""The spans of messages: one in which each is created, one in which each is processed, and those of a batch.

Creation and processing belong to the trace of the message. What a batch shares (load, save, publish) is a
trace of its own, to which the span of each processed message is linked. Names and attributes follow the
conventions for RabbitMQ; the destination in a name is the message's type, which is its routing key.
"""

from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Protocol, Self

from chassis.core import message_trace
from chassis.core.pending_message import PendingMessage
from chassis.messaging.envelope import Envelope
from chassis.telemetry import semantic_conventions as names
from chassis.telemetry import span_ids, tracing
from chassis.telemetry.tracing import Attribute, Span

_LINKS_MAX = 128  # the SDK keeps no more


class BatchSpans(Protocol):
    """The trace of a batch, as the message path reports its steps."""

    def __enter__(self) -> Self: ...
    def __exit__(self, *error: object) -> None: ...
    def load(self) -> AbstractContextManager[object]: ...
    def save(self, changes: int) -> AbstractContextManager[object]: ...
    def publish(self, envelopes: Sequence[Envelope]) -> AbstractContextManager[object]: ...


class _NoSpans:
    """A batch without a sampled message."""

    _nothing = nullcontext()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        return None

    def load(self) -> AbstractContextManager[object]:
        return self._nothing

    def save(self, changes: int) -> AbstractContextManager[object]:
        return self._nothing

    def publish(self, envelopes: Sequence[Envelope]) -> AbstractContextManager[object]:
        return self._nothing


NO_SPANS = _NoSpans()


class _SampledBatch:
    """A batch with at least one sampled message."""

    def __init__(self, service: str, size: int) -> None:
        self._root = root_span(service, "handle batch", {names.MESSAGING_BATCH_COUNT: size})

    @property
    def traceparent(self) -> str:
        return self._root.traceparent

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self._root.end()

    def load(self) -> AbstractContextManager[object]:
        return self._root.child("load", "internal")

    def save(self, changes: int) -> AbstractContextManager[object]:
        if not changes:
            return NO_SPANS
        return self._root.child("save", "internal", {names.DB_BATCH_SIZE: changes})

    def publish(self, envelopes: Sequence[Envelope]) -> AbstractContextManager[object]:
        span = self._root.child("send batch", "client")
        return describe_publish(span, envelopes)


def root_span(service: str, name: str, attributes: dict[str, Attribute]) -> Span:
    """The first span of a sampled trace of the service's own work."""
    trace = span_ids.random_trace_id()
    span = span_ids.random_span_id()
    return Span(service, name, "internal", trace_id=trace, span_id=span, attributes=attributes)


def describe_publish(span: Span, envelopes: Sequence[Envelope]) -> Span:
    span.attributes |= {
        names.MESSAGING_SYSTEM: names.RABBITMQ,
        names.MESSAGING_OPERATION_NAME: "send",
        names.MESSAGING_OPERATION_TYPE: "send",
        names.MESSAGING_BATCH_COUNT: len(envelopes),
    }
    sampled = [each.traceparent for each in envelopes if span_ids.is_sampled(each.traceparent)]
    span.links += sampled[:_LINKS_MAX]
    return span


def begin_process(service: str, pending: PendingMessage) -> None:
    """Begin the span in which the message is processed, if its trace is sampled."""
    if pending.trace is None or not span_ids.is_sampled(pending.trace.current):
        return
    envelope = pending.envelope
    wire_message = pending.delivery.wire_message
    current = pending.trace.current
    tries = message_trace.tries(wire_message)
    trace = span_ids.trace_of(current)
    span = Span(
        service,
        f"process {envelope.type}",
        "consumer",
        trace_id=trace,
        span_id=span_ids.process_span_id(envelope.id, service, tries),
        attributes=_attributes(envelope, "process"),
    )
    destination = (wire_message.exchange, wire_message.routing_key, pending.delivery.queue)
    parts = dict.fromkeys(part for part in destination if part)
    span.attributes[names.MESSAGING_DESTINATION_NAME] = ":".join(parts)
    span.attributes[names.ATTEMPT] = tries + 1
    creation = envelope.traceparent or pending.trace.base
    if message_trace.is_reminder(envelope, service):
        span.links.append(message_trace.beginning_of(envelope.correlation_id))
    elif span_ids.trace_of(creation) != trace:
        span.links.append(creation)
    elif envelope.traceparent:
        span.parent_id = span_ids.span_of(creation)
    pending.span = span


def begin_batch(service: str, batch: Sequence[PendingMessage]) -> BatchSpans:
    sampled = [pending.span for pending in batch if pending.span is not None]
    if not sampled:
        return NO_SPANS
    spans = _SampledBatch(service, len(batch))
    for span in sampled:
        span.links.append(spans.traceparent)
    return spans


def effect_span(pending: PendingMessage, effect: object) -> AbstractContextManager[object]:
    """The span of an effect, current while the effect runs."""
    if pending.span is None:
        return NO_SPANS
    name = type(effect).__name__
    return pending.span.child(f"run {name}", "internal", {names.EFFECT: name})


def end_process(pending: PendingMessage, emitted: Iterable[Envelope]) -> None:
    """Record the message's span, and those in which its outgoing messages were created.

    Nothing is recorded of a message whose outgoing messages were stored before: its first handling has
    recorded them.
    """
    span = pending.span
    if span is None or pending.decided is False:
        return
    span.end()
    for envelope in emitted:
        record_created(span, envelope)


def fail_process(pending: PendingMessage, error: Exception, *, next_stop: str) -> None:
    """Record the span of a message that goes to the retry ladder or to the dead letters.

    If it was stored and could not be published, its outgoing messages were created all the same.
    """
    if pending.span is not None:
        pending.span.fail(type(error).__name__)
        pending.span.attributes[names.NEXT_STOP] = next_stop
        end_process(pending, pending.outcome if isinstance(pending.outcome, tuple) else ())


def record_created(cause: Span, envelope: Envelope) -> None:
    """Record the span in which `cause` has created a message. It has the id that the message carries."""
    span = Span(
        cause.service,
        f"create {envelope.type}",
        "producer",
        trace_id=span_ids.trace_of(envelope.traceparent),
        span_id=span_ids.span_of(envelope.traceparent),
        sampled=span_ids.is_sampled(envelope.traceparent),
        start_ns=max(cause.start_ns, int(envelope.sent_at.timestamp() * 1e9)),
        attributes=_attributes(envelope, "create"),
    )
    if span.trace_id == cause.trace_id:
        span.parent_id = cause.span_id
    else:
        span.links.append(cause.traceparent)
    span.end(max(span.start_ns, cause.end_ns))


def sending_span(service: str, envelope: Envelope) -> AbstractContextManager[object]:
    """The span in which a single message is created and published, as a child of the current span.

    It has the id that the message carries.
    """
    if not span_ids.is_sampled(envelope.traceparent):
        return NO_SPANS
    caller = tracing.current()
    trace = span_ids.trace_of(envelope.traceparent)
    in_trace = caller is not None and caller.trace_id == trace
    return Span(
        service,
        f"send {envelope.type}",
        "producer",
        trace_id=trace,
        span_id=span_ids.span_of(envelope.traceparent),
        parent_id=caller.span_id if caller is not None and in_trace else "",
        attributes=_attributes(envelope, "send"),
    )


def sweep_span(service: str, envelopes: Sequence[Envelope]) -> AbstractContextManager[object]:
    """The span in which the sweeper publishes messages: a trace of its own, linked to theirs."""
    if not any(span_ids.is_sampled(envelope.traceparent) for envelope in envelopes):
        return NO_SPANS
    return describe_publish(root_span(service, "sweep", {}), envelopes)


def _attributes(envelope: Envelope, operation: str) -> dict[str, Attribute]:
    return {
        names.MESSAGING_SYSTEM: names.RABBITMQ,
        names.MESSAGING_OPERATION_NAME: operation,
        names.MESSAGING_OPERATION_TYPE: operation,
        names.MESSAGING_DESTINATION_NAME: envelope.type,
        names.MESSAGING_ROUTING_KEY: envelope.type,
        names.MESSAGING_MESSAGE_ID: envelope.id,
        names.MESSAGING_CONVERSATION_ID: envelope.correlation_id,
        names.MESSAGING_BODY_SIZE: len(envelope.body),
    }
