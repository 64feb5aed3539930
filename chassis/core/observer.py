"""What happens to the messages of one service, observed once: metrics, log lines and sampled spans.

The message path reports each occurrence here and knows neither metrics nor logs nor traces.
"""

import logging
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Literal

from chassis import telemetry
from chassis.bus.protocol import Delivery
from chassis.clock import Clock, utc_now
from chassis.core import message_spans, message_trace
from chassis.core.definition import ServiceDefinition
from chassis.core.failure_reasons import reason_of
from chassis.core.pending_message import PendingMessage
from chassis.messaging.catalog import Catalog
from chassis.messaging.envelope import Envelope, Forged, WireMessage
from chassis.messaging.untrusted import NAME_BYTES_MAX, count, shortened, text, traceparent
from chassis.store.protocol import StoreUnavailable, WriteConflicts
from chassis.telemetry import metrics
from chassis.telemetry.exemplars import trace_exemplar

UNKNOWN_TYPE = "unknown"
_ERROR_BYTES_MAX = 500
# A time that differs more than this from our clock is a wrong clock, or a client's invention.
_PLAUSIBLE = timedelta(days=366)

EffectOutcome = Literal["ended", "unavailable", "circuit_open", "bug", "cancelled"]


class _TypeMetrics:
    """The metrics of one wire type. Looking labels up costs more than the observation itself."""

    __slots__ = ("attempts", "end_to_end", "handled", "process", "queue")

    def __init__(self, service: str, type_: str) -> None:
        self.attempts = metrics.ATTEMPTS.labels(service, type_)
        self.queue = metrics.QUEUE_TIME.labels(service, type_)
        self.process = metrics.PROCESS_DURATION.labels(service, type_)
        self.end_to_end = metrics.END_TO_END.labels(service, type_)
        self.handled = metrics.HANDLED.labels(service, type_)


class MessageObserver:
    """The message path's only way to telemetry; one object per service."""

    def __init__(self, service: ServiceDefinition, clock: Clock = utc_now) -> None:
        self._service = service.name
        self._catalog = service.catalog
        self._dead_letters = service.catalog.names.dead
        self._clock = clock
        self._by_type: dict[str, _TypeMetrics] = {}
        self._group_size = metrics.GROUP_SIZE.labels(service.name)
        metrics.STORE_UNAVAILABLE.labels(service.name).set(0)

    def received(self, pending: PendingMessage) -> None:
        """A delivery has arrived, and is well-formed and authentic."""
        message_spans.begin_process(self._service, pending)
        of_type = self._of_type(pending.envelope.type)
        of_type.attempts.inc()
        delivery = pending.delivery
        if not delivery.wire_message.direct or delivery.returned:
            return
        waited_s = _seconds(pending.envelope.sent_at, pending.times.received_at or self._clock())
        if waited_s is not None:
            of_type.queue.observe(waited_s, _exemplar(pending))

    def not_written(self, error: StoreUnavailable) -> None:
        """A batch could not be written for a new reason. It is tried again after pauses.

        Nothing is consumed until `written_again`.
        """
        conflicts = isinstance(error, WriteConflicts)
        metrics.STORE_UNAVAILABLE.labels(self._service).set(not conflicts)
        event = (
            "other instances write the same documents, nothing is consumed until a write succeeds"
            if conflicts
            else "store unavailable, nothing is consumed until it is back"
        )
        telemetry.log.warning(event, service=self._service, error=shortened(str(error), _ERROR_BYTES_MAX))

    def written_again(self) -> None:
        """A batch is written, after `not_written`."""
        metrics.STORE_UNAVAILABLE.labels(self._service).set(0)
        telemetry.log.info("store available again", service=self._service)

    def batch(self, batch: Sequence[PendingMessage]) -> message_spans.BatchSpans:
        """What is done now is done for all these messages at once."""
        return message_spans.begin_batch(self._service, batch)

    def processed(self, batch: Sequence[PendingMessage]) -> None:
        """The outcome of each message of a batch is stored; nothing is published yet."""
        self._group_size.observe(len(batch))

    def handled(self, pending: PendingMessage, emitted: Sequence[Envelope]) -> None:
        """The message is stored, what it emitted is published, and its delivery is acknowledged."""
        message_spans.end_process(pending, emitted)
        now = self._clock()
        envelope = pending.envelope
        wire_message = pending.delivery.wire_message
        exemplar = _exemplar(pending)
        of_type = self._of_type(envelope.type)
        of_type.handled.inc()
        of_type.process.observe(_seconds(pending.times.received_at or now, now) or 0.0, exemplar)
        redriven = message_trace.is_redriven(wire_message)
        if not redriven and (took_s := _seconds(envelope.sent_at, now)) is not None:
            of_type.end_to_end.observe(took_s, exemplar)
        if pending.states is not None and pending.aggregate.observe is not None:
            before, after = pending.states
            pending.aggregate.observe(before, after, now)
        if telemetry.is_debug():  # the ids take longer than everything else here
            telemetry.log.debug("handled", service=self._service, **_ids(wire_message))

    def failed(self, pending: PendingMessage, wire_message: WireMessage, error: Exception) -> None:
        """The message was tried; it is to go on as `wire_message` (see `handed_over`)."""
        message_spans.fail_process(pending, error, next_stop=wire_message.exchange)

    def handed_over(self, delivery: Delivery, wire_message: WireMessage, error: Exception) -> None:
        """The message is to go to the retry ladder or to the dead letters, as `wire_message`."""
        type_ = _known_type(wire_message, self._catalog)
        reason = reason_of(error)
        dead = wire_message.exchange == self._dead_letters
        if dead:
            metrics.DEAD_LETTERS.labels(self._service, type_, reason).inc()
        else:
            metrics.RETRIES.labels(self._service, type_, wire_message.exchange).inc()
        if isinstance(error, Forged):
            return  # `forged` has logged it
        telemetry.log.log(
            logging.ERROR if dead else logging.WARNING,
            "dead-lettered" if dead else "put on the retry ladder",
            service=self._service,
            **_ids(wire_message),
            queue=delivery.queue,
            to=wire_message.exchange,
            attempt=count(wire_message.headers.get("attempt")),
            reason=reason,
            error=shortened(f"{type(error).__name__}: {error}", _ERROR_BYTES_MAX),
        )

    def forged(self, delivery: Delivery, error: Forged, *, role: str) -> None:
        """The message is to be dead-lettered. `role`: that of the user, whom the broker has verified.

        Everything else is unverified input of the sender.
        """
        wire_message = delivery.wire_message
        metrics.FORGED.labels(self._service, role).inc()
        telemetry.log.error(
            "forged message",
            service=self._service,
            **_ids(wire_message),
            user=wire_message.user_id,
            role=role,
            exchange=shortened(wire_message.exchange),
            routing_key=shortened(wire_message.routing_key),
            queue=delivery.queue,
            error=shortened(str(error), _ERROR_BYTES_MAX),
        )

    def effect_ended(
        self, pending: PendingMessage, effect: object, *, outcome: EffectOutcome, duration_s: float
    ) -> None:
        """A call to the outside world is over. `circuit_open`: it was not made."""
        of_effect = metrics.EFFECT_DURATION.labels(self._service, type(effect).__name__, outcome)
        of_effect.observe(duration_s, _exemplar(pending))

    def _of_type(self, type_: str) -> _TypeMetrics:
        """`type_`: of a parsed message, so it is in the catalog."""
        found = self._by_type.get(type_)
        if found is None:
            found = self._by_type[type_] = _TypeMetrics(self._service, type_)
        return found


def _exemplar(pending: PendingMessage) -> dict[str, str] | None:
    """The trace in which this delivery is processed, if it is sampled."""
    return trace_exemplar(pending.trace.current if pending.trace else pending.envelope.traceparent)


def _seconds(since: datetime, until: datetime) -> float | None:
    """At least 0, because clocks differ; None if one of the two times is no plausible time."""
    passed = until - since
    return max(0.0, passed.total_seconds()) if -_PLAUSIBLE < passed < _PLAUSIBLE else None


def _known_type(wire_message: WireMessage, catalog: Catalog) -> str:
    type_ = wire_message.type
    return type_ if type_ is not None and type_ in catalog else UNKNOWN_TYPE


def _ids(wire_message: WireMessage) -> dict[str, str]:
    """What a log line says about any message. An unknown type and the ids are unverified input."""
    headers = wire_message.headers
    trace = traceparent(headers.get("traceparent"))
    ids = {
        "type": wire_message.type,
        "message_id": wire_message.message_id,
        "journey": wire_message.correlation_id,
        "causation": text(headers.get("causation_id"), NAME_BYTES_MAX),
        "trace_id": trace[3:35],
        "span_id": trace[36:52],
    }
    return {name: shortened(value) for name, value in ids.items() if value}
