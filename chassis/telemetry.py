"""Logs, metrics and trace context. Logs contain a journey's ids, never a body, an address or a token."""

import logging
import sys
from typing import TYPE_CHECKING, Any

import structlog
from prometheus_client import Counter, Gauge, Histogram

from chassis.messaging.untrusted import shortened

if TYPE_CHECKING:
    from chassis.bus.protocol import Delivery
    from chassis.core.pending_message import PendingMessage
    from chassis.messaging.envelope import Forged, WireMessage

_ERROR_BYTES_MAX = 500
log: Any = structlog.get_logger()

HANDLED = Counter("journey_messages_handled_total", "Messages handled and acknowledged", ["service", "type"])
HANDED_OVER = Counter(
    "journey_messages_handed_over_total",
    "Messages put on the retry ladder or dead-lettered",
    ["service", "to"],
)
FORGED = Counter(
    "journey_forged_messages_total",
    "Messages rejected because of their sender, exchange or routing key, by the role of the verified "
    "broker user",
    ["service", "role"],
)
GROUP_SIZE = Histogram(
    "journey_group_size", "Messages that shared one write", buckets=(1, 2, 5, 10, 20, 50, 100, 200)
)
CONSUMING = Gauge("journey_consuming", "1 while the service consumes its queues", ["service"])
SWEPT = Counter(
    "journey_swept_total", "Messages published by the sweeper instead of their writer", ["service"]
)
RETENTION = Counter(
    "journey_retention_documents_total",
    "Documents compared with their retention rule (examined), and given the correct expiry time (dated)",
    ["service", "kind", "what"],
)
DEADLINES = Counter("journey_deadlines_total", "Deadline reminders sent", ["service"])


def configure(level: str, pretty: bool) -> None:
    """Structured logs on stderr: JSON lines, or coloured ones for people."""
    renderer: Any = structlog.dev.ConsoleRenderer() if pretty else structlog.processors.JSONRenderer()
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[level.upper()]),
        logger_factory=structlog.WriteLoggerFactory(file=sys.stderr),
        cache_logger_on_first_use=True,
    )
    logging.basicConfig(level=logging.WARNING, stream=sys.stderr)
    logging.getLogger("aiormq").setLevel(logging.ERROR)  # it logs a traceback for every lost connection


def handled(service: str, pending: "PendingMessage") -> None:
    HANDLED.labels(service, pending.envelope.type).inc()
    log.debug("handled", **_ids(pending.delivery.wire_message), caused_by=pending.envelope.causation_id)


def handed_over(service: str, delivery: "Delivery", wire_message: "WireMessage", error: Exception) -> None:
    HANDED_OVER.labels(service, wire_message.exchange).inc()
    dead = wire_message.exchange == "dead"
    log.log(
        logging.ERROR if dead else logging.WARNING,
        "dead-lettered" if dead else "put on the retry ladder",
        **_ids(wire_message),
        queue=delivery.queue,
        to=wire_message.exchange,
        attempt=wire_message.attempt,
        error=shortened(f"{type(error).__name__}: {error}", _ERROR_BYTES_MAX),
    )


def forged(service: str, delivery: "Delivery", error: "Forged", *, role: str) -> None:
    """`role`: that of the user, whom the broker has verified.

    Everything else is unverified input of the sender.
    """
    wire_message = delivery.wire_message
    FORGED.labels(service, role).inc()
    log.error(
        "forged message",
        user=wire_message.user_id,
        role=role,
        type=shortened(wire_message.type),
        exchange=shortened(wire_message.exchange),
        routing_key=shortened(wire_message.routing_key),
        queue=delivery.queue,
        reason=str(error),
    )


def _ids(wire_message: "WireMessage") -> dict[str, str | None]:
    ids = {
        "type": wire_message.type,
        "message_id": wire_message.message_id,
        "journey": wire_message.correlation_id,
    }
    return {name: value and shortened(value) for name, value in ids.items()}
