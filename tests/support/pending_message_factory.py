"""Pending messages as the dispatcher builds them, without a delivery to acknowledge,
and a processor for them.
"""

from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

from chassis.clock import Clock
from chassis.core.definition import ServiceDefinition
from chassis.core.pending_message import PendingMessage
from chassis.core.process import MessageProcessor
from chassis.messaging.envelope import wrap
from chassis.messaging.message import Message
from chassis.store.cached import CachedStore
from chassis.store.protocol import AggregateStore

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def pending(
    service: ServiceDefinition,
    message: Message,
    id_: str = "",
    *,
    sent_at: datetime = NOW,
    response: Any = None,
) -> PendingMessage:
    aggregate = service.by_type[type(message)]
    envelope = wrap(message, id=id_ or str(uuid4()), source="test", now=sent_at)
    return PendingMessage(None, envelope, message, aggregate, aggregate.key(message), response)  # type: ignore[arg-type]


def message_processor(
    service: ServiceDefinition, store: AggregateStore, *, clock: Clock = lambda: NOW
) -> MessageProcessor:
    """A processor with an empty cache of its own, as in a new instance."""
    return MessageProcessor(service, CachedStore(store, service.cached_kinds), clock=clock)
