"""The journal: every published event, in a stream queue, kept as long as the broker's policy says.

A stream has no end, and an idle one delivers nothing. So a reader publishes a marker message into the stream
after it has subscribed, and stops at its marker: everything confirmed before precedes it. This works on every
version of RabbitMQ, for an empty stream too, and needs neither clocks nor timeouts.
"""

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from dataclasses import dataclass
from datetime import datetime
from urllib.parse import urlsplit

import aio_pika
from aio_pika.abc import AbstractConnection, AbstractIncomingMessage
from aiormq.exceptions import ChannelNotFoundEntity
from pamqp.common import FieldTable

from chassis.bus.aiormq_frames import aiormq_connection
from chassis.bus.aiormq_frames.aio_pika_connections import TolerantConnection
from chassis.bus.protocol import BusUnavailable
from chassis.messaging.envelope import WireMessage
from chassis.messaging.identity import new_id
from contracts.catalog import NAMES
from journey.admin.infrastructure_unavailable import InfrastructureUnavailable

MARKER = "journal.mark"  # no wire type: no service consumes it, and readers skip other readers' markers
PREFETCH = 1_000
_ACKED_AT_ONCE = 200  # below the prefetch limit, so that delivery never stalls
_SILENCE_S_MAX = 30.0
_PROGRESS_S = 5.0

Since = datetime | int | None
"""Where to begin: a time, an offset, or None for the oldest entry."""


@dataclass(frozen=True, slots=True)
class Entry:
    """An event and its position in the journal."""

    offset: int
    wire_message: WireMessage

    @property
    def at(self) -> str:
        """When it was published; the order of the journal can differ slightly."""
        return str(self.wire_message.headers.get("time", ""))


Entries = AsyncGenerator[Entry, None]


async def read(amqp_url: str, since: Since = None) -> Entries:
    """Every event up to now, in journal order. With a start time, a few older events may come first.

    Raises InfrastructureUnavailable if the broker is down, BusUnavailable if the connection breaks.
    """
    connection = await _connect(amqp_url)
    try:
        arrived = await _consume(connection, since)
        marker = await _publish_marker(connection)
        count, after = 0, -1
        while (message := await _next(arrived)).message_id != marker:
            count += 1
            if count % _ACKED_AT_ONCE == 0:
                async with aiormq_connection.broker_call(_SILENCE_S_MAX):
                    await message.ack(multiple=True)
            if message.type != MARKER:
                entry = _entry(message, after)
                after = entry.offset
                yield entry
    except BusUnavailable as error:
        raise BusUnavailable(f"reading the journal failed: {error}; run it again, this is safe") from None
    finally:
        await aiormq_connection.best_effort(connection.close())


async def with_progress(entries: Entries, log: Callable[[str], None]) -> Entries:
    """The same entries; reports progress every few seconds."""
    clock = asyncio.get_running_loop().time
    count, due = 0, clock() + _PROGRESS_S
    async with aclosing(entries):
        async for entry in entries:
            yield entry
            count += 1
            if clock() > due:
                log(f"{count:,} events read, up to {entry.at}")
                due = clock() + _PROGRESS_S


async def _connect(amqp_url: str) -> AbstractConnection:
    address = urlsplit(amqp_url)
    try:
        async with aiormq_connection.broker_call(aiormq_connection.CONNECT_S_MAX):
            named: FieldTable = {"connection_name": "journal"}
            return await aio_pika.connect(
                amqp_url, heartbeat=20, client_properties=named, connection_class=TolerantConnection
            )
    except BusUnavailable as error:
        raise InfrastructureUnavailable(
            f"the broker at {address.hostname}:{address.port or 5672} does not respond: {error}",
            "check that it is running (`journey up`), then retry",
        ) from None


_Arrived = asyncio.Queue[AbstractIncomingMessage | None]


async def _consume(connection: AbstractConnection, since: Since) -> _Arrived:
    """None in the queue means that the connection was closed."""
    arrived: _Arrived = asyncio.Queue()
    try:
        async with aiormq_connection.broker_call(_SILENCE_S_MAX):
            channel = await connection.channel()
            await channel.set_qos(prefetch_count=PREFETCH)
            journal = await channel.get_queue(NAMES.journal, ensure=False)
            await journal.consume(
                arrived.put, arguments={"x-stream-offset": "first" if since is None else since}
            )
    except ChannelNotFoundEntity:
        raise InfrastructureUnavailable(
            "the broker has no journal", "create it: `journey topology apply`"
        ) from None
    connection.close_callbacks.add(lambda *_: arrived.put_nowait(None))
    return arrived


async def _publish_marker(connection: AbstractConnection) -> str:
    """Publish a marker directly to the journal, past every exchange: no service sees it."""
    marker = str(new_id())
    async with aiormq_connection.broker_call(_SILENCE_S_MAX):
        channel = await connection.channel(on_return_raises=True)
        message = aio_pika.Message(b"", message_id=marker, type=MARKER)
        await channel.default_exchange.publish(message, NAMES.journal)
    return marker


async def _next(arrived: _Arrived) -> AbstractIncomingMessage:
    try:
        message = await asyncio.wait_for(arrived.get(), _SILENCE_S_MAX)
    except TimeoutError:
        raise BusUnavailable(f"the broker sent nothing for {_SILENCE_S_MAX:.0f} s") from None
    if message is None:
        raise BusUnavailable("the connection was lost")
    return message


def _entry(message: AbstractIncomingMessage, after: int) -> Entry:
    """The offset is in a header. For a message with undecodable headers, it is the previous offset + 1."""
    offset = message.headers.get("x-stream-offset")
    if not isinstance(offset, int):
        offset = after + 1
    return Entry(
        offset,
        WireMessage(
            message.exchange or "",
            message.routing_key or "",
            message.body,
            message.message_id,
            message.type,
            message.app_id,
            message.correlation_id,
            {key: value for key, value in message.headers.items() if not key.startswith("x-")},
            message.content_type,
            message.user_id,
        ),
    )
