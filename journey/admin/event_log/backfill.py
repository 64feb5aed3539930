"""`journey backfill SERVICE`: publishes events from the journal again,
to one service that may have missed them.

The same bytes, ids and headers go to that service's events queue, or to its first partition. The service
recognizes handled events by their ids, and publishes its stored outgoing messages again. So a backfill is
safe to repeat, to start too early, and to kill.
"""

import asyncio
import sys
from collections import Counter
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime

import aio_pika
from aio_pika.abc import AbstractChannel
from aiormq.exceptions import ChannelNotFoundEntity

from chassis.bus.aiormq_frames import aiormq_connection
from chassis.bus.protocol import BusUnavailable, Unroutable
from chassis.bus.rabbitmq import RabbitBus
from chassis.core.definition import ServiceDefinition
from chassis.messaging.envelope import OPERATOR, Malformed, WireMessage, parse
from chassis.messaging.message import Event
from chassis.messaging.origin import HANDED_BACK, Origin
from chassis.messaging.partitions import input_queue_of
from contracts.catalog import CATALOG
from journey.admin.broker.management import BrokerAdmin, Limit
from journey.admin.endpoints import ShopEndpoints
from journey.admin.event_log import journal
from journey.admin.infrastructure_unavailable import InfrastructureUnavailable
from journey.admin.progress_log import Log

BATCH = 200
# Live events queue up behind ours, so we keep only this many waiting.
WAITING_MAX = 1_000
NO_ROOM_S_MAX = 60.0
_PAUSE_S = 0.05
_RESPONSE_S_MAX = 30.0


@dataclass
class Backfilled:
    """Published events by type, and skipped ones by reason."""

    by_type: Counter[str] = field(default_factory=Counter)
    left_out: Counter[str] = field(default_factory=Counter)
    first: str = ""
    last: str = ""

    @property
    def count(self) -> int:
        return self.by_type.total()

    def note(self, entry: journal.Entry) -> None:
        self.by_type[entry.wire_message.type or ""] += 1
        self.first, self.last = self.first or entry.at, entry.at


async def missed(
    endpoints: ShopEndpoints, service: ServiceDefinition, since: datetime, done: Backfilled, log: Log
) -> AsyncGenerator[list[WireMessage], None]:
    """Events that `service` consumes, from `since` until now, routed to it alone;
    in batches of distinct ids.
    """
    queues = consumed_types(service)
    batch: dict[str, WireMessage] = {}
    entries = journal.with_progress(journal.read(endpoints.amqp_url(OPERATOR), since), log)
    async with aclosing(entries):
        async for entry in entries:
            if entry.wire_message.type not in queues:
                continue
            try:
                envelope, _ = parse(
                    entry.wire_message, CATALOG, reader=service.name
                )  # validated as in the services
            except Malformed as error:
                done.left_out[str(error)] += 1
                continue
            if envelope.id not in batch:
                origin = Origin.of(entry.wire_message, service.name)
                batch[envelope.id] = entry.wire_message.with_route(
                    HANDED_BACK, queues[envelope.type], **origin.headers()
                )
                done.note(entry)
            if len(batch) == BATCH:
                yield list(batch.values())
                batch.clear()
    if batch:
        yield list(batch.values())


def consumed_types(service: ServiceDefinition) -> dict[str, str]:
    """Type of event -> the queue in which the service receives it."""
    return {each.TYPE: service.queue_of(each) for each in service.by_type if issubclass(each, Event)}


@dataclass(frozen=True)
class Backlog:
    """Messages in the queues that events are published to, and in the fullest queue of commands; and the
    maximum that the service's consumers may hold unacknowledged.
    """

    events: int
    commands: int
    in_hand_max: int


@dataclass(frozen=True)
class QueueLimits:
    """Maximum sizes of a service's queues, by policy."""

    events: Limit
    commands: Limit

    def room(self, waiting: Backlog, largest: int) -> int:
        """How many more events, of at most `largest` bytes each, may be published now.

        A bounded queue discards its oldest messages. We use half of its limit; the other half is for live
        events and for messages that a dying consumer returns. A service may react to an event with a command
        to itself, so every waiting or unacknowledged event counts as a command, too.
        """
        return min(
            BATCH,
            WAITING_MAX - waiting.events - waiting.commands,
            _half(self.events, largest) - waiting.events,
            _half(self.commands, largest) - waiting.commands - waiting.events - waiting.in_hand_max,
        )


def _half(limit: Limit, largest: int) -> int:
    by_bytes = limit.bytes // max(1, largest) if limit.bytes is not None else sys.maxsize
    return min(limit.messages if limit.messages is not None else sys.maxsize, by_bytes) // 2


@asynccontextmanager
async def throttled_publisher(
    endpoints: ShopEndpoints, service: ServiceDefinition, rate: float
) -> AsyncIterator["ThrottledPublisher"]:
    """A publisher to a service's events queue, at most `rate` messages a second."""
    async with BrokerAdmin(endpoints.management_url) as admin:  # only the operator may read the limits
        events, commands = [
            await admin.limit(endpoints.vhost, queue)
            for queue in (service.events_queue, service.commands_queue)
        ]
        existing = await admin.depths(endpoints.vhost)
    if events is None or commands is None:
        raise InfrastructureUnavailable(
            f"{service.name} has no queues", "create them: `journey topology apply`"
        )
    url = endpoints.amqp_url(OPERATOR)
    bus = RabbitBus(url)
    async with aiormq_connection.broker_call(aiormq_connection.CONNECT_S_MAX):
        connection = await aio_pika.connect(
            url, heartbeat=20, client_properties={"connection_name": "backfill"}
        )
    try:
        await bus.start()
        async with aiormq_connection.broker_call(_RESPONSE_S_MAX):
            channel = await connection.channel()
        partitions = [queue for queue in existing if input_queue_of(queue) == service.commands_queue]
        yield ThrottledPublisher(
            service,
            QueueLimits(events, commands),
            bus,
            channel=channel,
            rate=rate,
            commands_queues=partitions,
        )
    finally:
        await bus.stop()
        await aiormq_connection.best_effort(connection.close())


class ThrottledPublisher:
    """Publishes no more than the service's queues can hold."""

    def __init__(
        self,
        service: ServiceDefinition,
        bounds: QueueLimits,
        bus: RabbitBus,
        *,
        channel: AbstractChannel,
        rate: float,
        commands_queues: Sequence[str],
    ) -> None:
        self._service = service
        self._bounds = bounds
        self._bus = bus
        self._channel = channel
        self._rate = rate
        self._commands_queues = commands_queues
        self._given = 0
        self._began = asyncio.get_running_loop().time()

    async def give(self, wire_messages: Sequence[WireMessage]) -> None:
        """Publish all of them, confirmed, as fast as the limits and the rate allow."""
        left = list(wire_messages)
        while left:
            size = await self._room(largest=max(len(wire_message.body) for wire_message in left))
            await self._publish(left[:size])
            left = left[size:]

    async def _room(self, largest: int) -> int:
        """Wait until there is room.

        Raises InfrastructureUnavailable if no message is consumed for NO_ROOM_S_MAX.
        """
        clock = asyncio.get_running_loop().time
        fewest, since = sys.maxsize, clock()
        while True:
            waiting = await self._look()
            if (free := self._bounds.room(waiting, largest)) > 0:
                return free
            if waiting.events + waiting.commands < fewest:
                fewest, since = waiting.events + waiting.commands, clock()
            if clock() - since > NO_ROOM_S_MAX:
                raise InfrastructureUnavailable(
                    f"{self._service.name} is stalled: {waiting.events} events and {waiting.commands} "
                    "commands wait,"
                    f" with no room for {NO_ROOM_S_MAX:.0f} s; {self._given} events were published",
                    f"start {self._service.name}, or raise its queue limits; then run the backfill again",
                )
            await asyncio.sleep(_PAUSE_S)

    async def _look(self) -> Backlog:
        """Ready counts are exact; unacknowledged counts lag behind, so the prefetch limit is used instead."""
        service = self._service
        try:
            async with aiormq_connection.broker_call(_RESPONSE_S_MAX):
                events = [
                    (await self._channel.declare_queue(queue, passive=True)).declaration_result
                    for queue in service.events_queues
                ]
                commands = [
                    (await self._channel.declare_queue(queue, passive=True)).declaration_result
                    for queue in self._commands_queues
                ]
        except ChannelNotFoundEntity as error:
            raise InfrastructureUnavailable(
                str(error), "create the queue: `journey topology apply`"
            ) from None
        in_hand_max = sum(queue.consumer_count or 0 for queue in events) * service.prefetch_events
        in_hand_max += max(queue.consumer_count or 0 for queue in commands) * service.prefetch_commands
        fullest = max(queue.message_count or 0 for queue in commands)
        return Backlog(sum(queue.message_count or 0 for queue in events), fullest, in_hand_max)

    async def _publish(self, wire_messages: Sequence[WireMessage]) -> None:
        errors = [error for error in await self._bus.publish(wire_messages) if error is not None]
        self._given += len(wire_messages) - len(errors)
        for error in errors:
            if isinstance(error, Unroutable):
                raise InfrastructureUnavailable(str(error), "create the queue: `journey topology apply`")
            raise BusUnavailable(f"{error}; {self._given} events were published; run it again, this is safe")
        due = self._began + self._given / self._rate
        await asyncio.sleep(max(0.0, due - asyncio.get_running_loop().time()))
