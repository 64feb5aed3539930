"""What rabbit.py needs of aiormq, on which aio-pika stands: connections that come back, messages in bulk.

aiormq's own calls spend a task, a timer and a system call on each message and each acknowledgement. Written many at
a time, a publish costs half of that (48 µs in place of 87), and an acknowledgement nearly nothing.
"""

import asyncio
import struct
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable, Sequence
from contextlib import asynccontextmanager, suppress
from functools import lru_cache, partial
from typing import Any

import aiormq
from aiormq.abc import ChannelFrame
from aiormq.exceptions import (
    AMQPError,
    ChannelAccessRefused,
    ChannelClosed,
    ChannelInvalidStateError,
    ChannelNotFoundEntity,
    ChannelPreconditionFailed,
    DeliveryError,
    PublishError,
)
from pamqp import commands as spec
from pamqp.base import Frame
from pamqp.body import ContentBody
from pamqp.commands import Basic
from pamqp.frame import marshal
from pamqp.header import ContentHeader
from yarl import URL

from chassis import telemetry
from chassis.bus.aiormq_frames import RawDelivery, TapTransportFactory, properties_of
from chassis.bus.broker_errors import describe
from chassis.bus.protocol import BusUnavailable, MessageNotEncodable, PublishingBlocked, Unroutable
from contracts.envelope import WireMessage

CONNECT_S_MAX = 5.0
CLOSE_S_MAX = 3.0
# The broker closes the channel with these when a user may not, when a name is unknown, and over a size limit.
REFUSED_BY_BROKER = (ChannelAccessRefused, ChannelNotFoundEntity, ChannelPreconditionFailed)
_PERSISTENT = 2
# pamqp's encoder names a few values that it cannot encode; for the others Python's own errors come through.
_CANNOT_ENCODE = (TypeError, ValueError, OverflowError, struct.error, RecursionError, AttributeError)

# By default ten frames may wait for the socket, and who comes eleventh waits, for ever if the connection dies just
# then. Without a bound nobody waits there; what is in flight is bounded by prefetch and by the limits on publishing.
aiormq.Connection.FRAME_BUFFER_SIZE = 0


@asynccontextmanager
async def broker_call(limit_s: float) -> AsyncIterator[None]:
    """Every way in which a broker can be away, or be silent, is BusUnavailable; what it says about one channel is not.

    aiormq shows a dead connection as CancelledError though nobody cancelled us: the task's own count tells.
    """
    try:
        async with asyncio.timeout(limit_s):
            yield
    except asyncio.CancelledError:
        task = asyncio.current_task()
        if task is None or task.cancelling():
            raise
        raise BusUnavailable("the connection died") from None
    except TimeoutError:
        raise BusUnavailable(f"no answer within {limit_s:.0f} s") from None
    except ChannelClosed:
        raise
    # StopAsyncIteration is aiormq's word for a server that hangs up while it is being greeted.
    except (AMQPError, ChannelInvalidStateError, OSError, StopAsyncIteration) as error:
        raise BusUnavailable(describe(error)) from error


async def best_effort(work: Coroutine[Any, Any, object]) -> None:
    """A courtesy to the broker: if it is away there is nothing to be done about it."""
    with suppress(BusUnavailable, ChannelClosed):
        async with broker_call(CLOSE_S_MAX):
            await work


class _Connection(aiormq.Connection):
    """Tracks `connection.blocked` and fails pending publishes at once: a blocking broker sends no confirms.

    aiormq only logs these frames. Its private frame handlers are the only hook.
    """

    alarm = ""

    async def _Connection__handle_connection_blocked(self, frame: spec.Connection.Blocked) -> None:
        self.alarm = frame.reason or "a resource alarm"
        telemetry.log.warning("the broker takes no messages", reason=self.alarm)
        for channel in self.channels.values():
            for confirm in getattr(channel, "confirmations", {}).values():
                if isinstance(confirm, asyncio.Future) and not confirm.done():
                    confirm.set_exception(PublishingBlocked(self.alarm))

    async def _Connection__handle_connection_unblocked(self, _: spec.Connection.Unblocked) -> None:
        self.alarm = ""
        telemetry.log.info("the broker takes messages again")


class Connection:
    """One connection; whoever needs it next opens it anew after a loss."""

    def __init__(self, url: str, purpose: str, heartbeat_s: int) -> None:
        self._url, self._purpose = URL(url).update_query(heartbeat=heartbeat_s), purpose
        self._connection: _Connection | None = None
        self._tapped = TapTransportFactory()
        self._main_channel: aiormq.Channel | None = None
        self._opening, self._opening_main_channel = asyncio.Lock(), asyncio.Lock()

    @property
    def up(self) -> bool:
        return self._connection is not None and not self._connection.is_closed

    @property
    def alarm(self) -> str:
        """Why the broker takes no messages on it; empty if it does, or if nothing was published yet."""
        return self._connection.alarm if self._connection is not None and self.up else ""

    async def open(self) -> None:
        async with self._opening:
            if not self.up:
                connection = _Connection(self._url, transport_factory=self._tapped)
                await connection.connect({"connection_name": self._purpose})
                self._connection = connection
                telemetry.log.info("connected to the broker", purpose=self._purpose)

    async def channel(self, take: Callable[[aiormq.Channel, RawDelivery], None] | None = None) -> aiormq.Channel:
        """A new one. With `take` all that is delivered on it goes there."""
        await self.open()
        assert self._connection is not None
        channel = await self._connection.channel(publisher_confirms=True, on_return_raises=True)
        assert isinstance(channel, aiormq.Channel)
        if take:
            self._tapped.reader.taken[channel.number] = partial(take, channel)
        return channel

    async def main_channel(self) -> aiormq.Channel:
        """One for all, opened anew when it was closed on us."""
        async with self._opening_main_channel:
            if self._main_channel is None or self._main_channel.is_closed:
                self._main_channel = await self.channel()
            return self._main_channel

    async def close(self) -> None:
        if self._connection is not None:
            await self._connection.close()


async def publish(
    channel: aiormq.Channel, wire_messages: Sequence[WireMessage], user: str, limit_s: float
) -> list[Exception | None]:
    """All in one write, then one wait for every confirm. ChannelClosed: the fault may be another parcel's."""
    if channel.is_closed:
        return [BusUnavailable("the channel was closed just now")] * len(wire_messages)
    answers: list[asyncio.Future[Any] | Unroutable] = []
    written = bytearray()
    for wire_message in wire_messages:
        try:
            written += _marshalled(channel, wire_message, user)
        except _CANNOT_ENCODE as error:
            answers.append(MessageNotEncodable(f"AMQP cannot carry this message: {error}"))
        else:
            # aiormq finds the confirm by its number, and the message by its id if it is returned.
            channel.delivery_tag += 1
            channel.message_id_delivery_tag[wire_message.message_id or ""] = channel.delivery_tag
            channel.confirmations[channel.delivery_tag] = channel.create_future()
            answers.append(channel.confirmations[channel.delivery_tag])
    channel.write_queue.put_nowait(ChannelFrame(bytes(written), should_close=False))
    if confirms := [answer for answer in answers if isinstance(answer, asyncio.Future)]:
        await asyncio.wait(confirms, timeout=limit_s)
    for wire_message in wire_messages:
        channel.message_id_delivery_tag.pop(wire_message.message_id or "", None)
    return [_read(*both) for both in zip(answers, wire_messages, strict=True)]


def write(channel: aiormq.Channel, frames: Iterable[Frame]) -> None:
    """For frames that get no answer."""
    written = b"".join(marshal(frame, channel.number) for frame in frames)
    channel.write_queue.put_nowait(ChannelFrame(written, should_close=False))


def _marshalled(channel: aiormq.Channel, wire_message: WireMessage, user: str) -> bytes:
    """A message as it goes over the wire. One of _CANNOT_ENCODE: AMQP cannot carry it."""
    properties = properties_of(wire_message, user_id=user, delivery_mode=_PERSISTENT)
    body, size = wire_message.body, channel.max_content_size
    start = _addressed(channel.number, wire_message.exchange, wire_message.routing_key)
    head = start + marshal(ContentHeader(0, len(body), properties), channel.number)
    if len(head) > size:
        raise ValueError(f"its headers have {len(head)} bytes")
    return head + b"".join(
        marshal(ContentBody(body[at : at + size]), channel.number) for at in range(0, len(body), size)
    )


@lru_cache(1_000)
def _addressed(channel: int, exchange: str, routing_key: str) -> bytes:
    """The first frame of a message, which says where it goes: a service has few addresses."""
    return marshal(Basic.Publish(exchange=exchange, routing_key=routing_key, mandatory=True), channel)


def _read(answer: "asyncio.Future[Any] | Unroutable", wire_message: WireMessage) -> Exception | None:
    """None when confirmed and routed."""
    if isinstance(answer, Unroutable):
        return answer
    if not answer.done():
        return BusUnavailable("no confirm in time")
    match answer.exception():
        case None:
            return None
        case PublishError():
            return Unroutable(f"no queue takes {wire_message.routing_key!r} from exchange {wire_message.exchange!r}")
        case DeliveryError():
            return BusUnavailable("the broker could not take the message just now (nack)")
        case ChannelClosed() as closed:
            return closed
        case PublishingBlocked() as blocked:
            return blocked
        case error:
            return BusUnavailable(f"the connection died: {describe(error)}")
