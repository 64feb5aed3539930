"""Deliveries on their way in: parsed, waiting, and handed out in batches.

There is no timer and no batch size to tune: what arrives while one batch is being written becomes the next
one. No aggregate is ever in two batches at once.
"""

import asyncio
import random
from collections import Counter, deque
from collections.abc import Collection
from contextlib import suppress
from datetime import datetime

from chassis.bus.protocol import Delivery
from chassis.bus.retry_ladder import RETURNS_SUSPECT
from chassis.core import retry
from chassis.core.definition import ServiceDefinition
from chassis.core.message_trace import trace_of
from chassis.core.other_release import OtherRelease, why_other_release
from chassis.core.pending_message import PendingMessage
from chassis.messaging.catalog import UpcastFailed
from chassis.messaging.envelope import Malformed, parse
from chassis.store.protocol import AggregateKey, HandlingTimes

BATCH_MAX = 200
# How many messages about one aggregate a batch takes while there are others to take.
SHARE_MAX = 50
# With fewer messages than these waiting, a service with `linger_s` waits for more.
FEW = 8


class Inbox:
    """The deliveries of all queues of one service until they are settled."""

    def __init__(self, service: ServiceDefinition) -> None:
        self._service = service
        self._waiting: deque[PendingMessage] = deque()
        self._in_batch: set[AggregateKey] = set()
        self._wake = asyncio.Event()
        self._urgent = asyncio.Event()
        self.unsettled = 0

    def parse(self, delivery: Delivery, now: datetime) -> PendingMessage:
        """Raises Malformed or PoisonMessage for what this service can never handle, and OtherRelease."""
        if delivery.returned >= retry.RETURNS_MAX:
            raise retry.PoisonMessage(f"it came back {delivery.returned} times: its consumer died over it")
        wire_message = delivery.wire_message
        catalog = self._service.catalog
        reader = self._service.name
        if reason := why_other_release(wire_message, self._service):
            raise OtherRelease(reason)
        envelope, message = parse(wire_message, catalog, reader=reader)
        aggregate = self._service.by_type.get(type(message))
        if aggregate is None:
            raise OtherRelease(
                f"this release of {reader} does not handle {envelope.type}, which a binding brings here; "
                f"update {reader}, or remove the binding (`journey topology apply --remove`)"
            )
        try:
            message = self._service.as_handled(message)
        except UpcastFailed as error:
            raise Malformed(str(error)) from error
        key = aggregate.key(message)
        times = HandlingTimes(
            sent_at=envelope.known_sent_at,
            received_at=now,
            failed_attempts=delivery.wire_message.attempt,
            postponed=delivery.wire_message.postponed,
        )
        trace = trace_of(wire_message, envelope, message, reader=reader, catalog=catalog)
        return PendingMessage(
            delivery, envelope, message, aggregate=aggregate, key=key, times=times, trace=trace
        )

    def put(self, pending: PendingMessage) -> None:
        self._waiting.append(pending)
        if pending.is_urgent:
            self._urgent.set()
        self.wake()

    def settled(self) -> None:
        """One delivery less: it was acknowledged or given back."""
        self.unsettled -= 1
        self.wake()

    def wake(self) -> None:
        """End `wait`: there may be a next batch now."""
        self._wake.set()

    async def wait(self) -> None:
        await self._wake.wait()
        if self._service.linger_s and len(self._waiting) < FEW:
            with suppress(TimeoutError):
                async with asyncio.timeout(self._service.linger_s):
                    await self._urgent.wait()
        self._urgent.clear()
        self._wake.clear()

    def next_batch(self) -> list[PendingMessage]:
        """As many waiting messages as fit; of each aggregate no more than its share,
        unless there is room left.
        """
        shares: Counter[AggregateKey] = Counter()
        free = [pending for pending in self._waiting if pending.aggregate_key not in self._in_batch]
        able = self._suspects_alone(free)
        fair: list[PendingMessage] = []
        for pending in able:
            shares[pending.aggregate_key] += 1
            if shares[pending.aggregate_key] <= SHARE_MAX:
                fair.append(pending)
        chosen = set(fair[:BATCH_MAX])
        chosen.update([pending for pending in able if pending not in chosen][: BATCH_MAX - len(chosen)])
        batch = [pending for pending in able if pending in chosen]  # in the order of their arrival
        self._waiting = deque(pending for pending in self._waiting if pending not in chosen)
        self._in_batch.update(pending.aggregate_key for pending in batch)
        return batch

    def release(self, batch: Collection[PendingMessage]) -> None:
        """The next batch may contain the aggregates of this one."""
        self._in_batch.difference_update(pending.aggregate_key for pending in batch)
        self.wake()

    def _suspects_alone(self, able: list[PendingMessage]) -> list[PendingMessage]:
        """Without the messages that have to wait for a suspect.

        A suspect is a message over which the process may die. It is handled alone, after everything that was
        in hand before. A subscription cannot do this, because a service has two queues. Of several suspects
        the one that came back least often is first, because the culprit came back at each death.

        Messages with a slot or with the result of an effect wait for none. They would keep the slots from
        those for which the suspect waits, and a crash in that time would repeat their effects.
        """
        if urgent := [pending for pending in able if pending.is_urgent]:
            harmless = [each for each in urgent if each.delivery.returned < RETURNS_SUSPECT]
            return harmless or urgent[:1]
        suspects = [pending for pending in able if pending.delivery.returned >= RETURNS_SUSPECT]
        if not suspects:
            return able
        if before := able[: able.index(suspects[0])]:
            return before
        if self.unsettled > len(self._waiting):
            return []
        return [min(suspects, key=lambda pending: (pending.delivery.returned, random.random()))]
