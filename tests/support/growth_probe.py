"""Plays many messages to one aggregate on the real path, and measures what is stored, read and written."""

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from itertools import count, islice
from typing import Any
from uuid import UUID

from bson import BSON

from chassis.bus.memory import MemoryStore
from chassis.core.definition import Aggregate, ServiceDefinition
from chassis.core.inbox import BATCH_MAX
from chassis.core.pending_message import PendingMessage
from chassis.messaging.envelope import Envelope
from chassis.messaging.message import Message
from chassis.store.mongodb_documents import entry_of
from chassis.store.protocol import Change, HandlingTimes, Loaded
from tests.support.executed_lines import lines_executed
from tests.support.pending_message_factory import message_processor

BEGAN = datetime(2026, 1, 1, tzinfo=UTC)
# A hundred thousand messages are sent within less than the tolerated clock skew: no clock is wrong.
APART = timedelta(microseconds=500)
KEY = str(UUID(int=7))
LONGEST_TIMES = HandlingTimes(BEGAN, BEGAN, BEGAN, BEGAN, failed_attempts=1_000_000, postponed=1_000_000)
BUGS = (
    TypeError,
    AttributeError,
    KeyError,
    AssertionError,
)  # a bug in a test must not look like a small document


@dataclass
class Measured:
    """The cost of one batch of messages: bytes read and written, ids compared, lines of code executed."""

    read: int = 0
    written: int = 0
    ids: int = 0
    lines: int = 0


class Scales(MemoryStore):
    """An in-memory store that measures what is read and written, while measuring is enabled."""

    def __init__(self) -> None:
        super().__init__()
        self.moved: Measured | None = None

    async def load(self, kind: str, keys: Any) -> dict[str, Loaded]:
        found = await super().load(kind, keys)
        if self.moved is not None:
            self.moved.ids += sum(len(loaded.handled) for loaded in found.values())
            self.moved.read += sum(_size([loaded.state, sorted(loaded.handled)]) for loaded in found.values())
        return found

    async def save(self, changes: Sequence[Change], *, together: bool = False) -> bool:
        if self.moved is not None:
            for change in changes:
                entries = [*map(entry_of, change.changed), *map(entry_of, change.unchanged)]
                self.moved.written += _size([change.state, entries])
        return await super().save(changes, together=together)

    def written(self, kind: str, key: str) -> Any:
        """The document without its version and times; None if there is none."""
        document = self._kinds.get(kind, {}).get(key)
        if document is None:
            return None
        changed = [replace(each, times=HandlingTimes()) for each in document.changed]
        unchanged = [replace(each, times=HandlingTimes()) for each in document.unchanged]
        return document.loaded.state, changed, unchanged

    def bytes_of(self, kind: str, key: str = KEY) -> int:
        """Size of the document as MongoDB would store it; 0 if there is none."""
        document = self._kinds.get(kind, {}).get(key)
        if document is None:
            return 0
        emitted, unchanged = (
            [entry_of(each) for each in document.changed],
            [entry_of(each) for each in document.unchanged],
        )
        ids = [each.message_id for each in document.changed]
        return len(
            BSON.encode(
                {
                    "_id": key,
                    "state": document.loaded.state,
                    "handled": ids,
                    "said": emitted,
                    "unchanged": unchanged,
                }
            )
        )


@dataclass
class Growth:
    """An aggregate that handles more and more messages."""

    service: ServiceDefinition
    aggregate: Aggregate[Any]
    store: Any = field(default_factory=Scales)
    key: str = KEY
    numbers: Any = field(default_factory=lambda: count(1))

    def __post_init__(self) -> None:
        self._processor = message_processor(self.service, self.store, clock=lambda: BEGAN)

    async def deliver(
        self, messages: Iterable[Any], sent_at: Callable[[int], datetime] | None = None
    ) -> None:
        left = iter(messages)
        while group := list(islice(left, BATCH_MAX)):
            works = [self._work(message, sent_at) for message in group]
            await self._processor.process(works)
            for work in works:
                assert not isinstance(work.outcome, BUGS), work.outcome

    async def weighed(self, messages: Iterable[Any]) -> Measured:
        """The cost of some messages."""
        self.store.moved = moved = Measured()
        moved.lines = await lines_executed(self.deliver(messages))
        self.store.moved = None
        return moved

    @property
    def size(self) -> int:
        bytes_: int = self.store.bytes_of(self.aggregate.kind, self.key)
        return bytes_

    def _work(self, message: Any, sent_at: Callable[[int], datetime] | None) -> PendingMessage:
        number = next(self.numbers)
        at = sent_at(number) if sent_at else BEGAN + number * APART
        envelope = self.envelope(message, number, at)
        pending = PendingMessage(None, envelope, message, self.aggregate, self.key)  # type: ignore[arg-type]
        pending.times = LONGEST_TIMES
        return pending

    def envelope(self, message: Any, number: int, at: datetime | None = None) -> Envelope:
        """The numbered message in its envelope, addressed to the aggregate."""
        if isinstance(message, Message):
            type_ = message.TYPE
            self.key = self.aggregate.key(message)
        else:  # HTTP commands, and results of effects
            type_ = type(message).__name__
        id_, at = str(UUID(int=number)), at or BEGAN + number * APART
        return Envelope(id_, type_, "somebody", self.key, at.isoformat(), id_, "", b"", "t" * 55)


def key_of(aggregate: Aggregate[Any], messages: Iterable[Any]) -> str:
    """The aggregate of the first message; HTTP commands do not name one."""
    return next((aggregate.key(message) for message in messages if isinstance(message, Message)), KEY)


def _size(value: Any) -> int:
    return len(json.dumps(value, default=str))
