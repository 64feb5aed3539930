"""Pending messages as the dispatcher builds them from deliveries, without a delivery to acknowledge."""

from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

from chassis.core.definition import ServiceDefinition
from chassis.core.pending_message import PendingMessage
from chassis.messaging.envelope import wrap
from chassis.messaging.message import Message

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def pending(
    service: ServiceDefinition,
    message: Message,
    id_: str = "",
    *,
    said_at: datetime = NOW,
    answer: Any = None,
) -> PendingMessage:
    aggregate = service.by_type[type(message)]
    envelope = wrap(message, id=id_ or str(uuid4()), source="test", now=said_at)
    return PendingMessage(None, envelope, message, aggregate, aggregate.key(message), answer)  # type: ignore[arg-type]
