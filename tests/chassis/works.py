"""Work for the one path, as the batcher makes it of a delivery; nobody waits for its acknowledgement here."""

from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

from chassis.handle import Work
from chassis.service import Service
from contracts.envelope import seal
from contracts.message import Message

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def work(service: Service, message: Message, id_: str = "", *, said_at: datetime = NOW, answer: Any = None) -> Work:
    aggregate = service.by_type[type(message)]
    envelope = seal(message, id=id_ or str(uuid4()), source="test", now=said_at)
    return Work(None, envelope, message, aggregate, aggregate.key(message), answer)  # type: ignore[arg-type]
