"""The AMQP layer of rabbitmq.py: reconnecting connections, batched writes,
and broker errors in the bus's terms.

aiormq opens connections and channels and makes every call that the broker replies to. Messages, confirms and
acknowledgements bypass it (chassis.bus.aiormq_frames): aiormq spends a task, a timer and a system call on
each.
"""

import asyncio
import struct
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable, Sequence
from contextlib import asynccontextmanager, suppress
from functools import lru_cache, partial
from typing import Any

import aiormq
from aiormq.exceptions import (
    AMQPError,
    ChannelAccessRefused,
    ChannelClosed,
    ChannelInvalidStateError,
    ChannelNotFoundEntity,
    ChannelPreconditionFailed,
)
from pamqp.base import Frame
from pamqp.body import ContentBody
from pamqp.commands import Basic
from pamqp.frame import marshal
from pamqp.header import ContentHeader
from yarl import URL

from chassis import telemetry
from chassis.bus.aiormq_frames.broker_errors import describe
from chassis.bus.aiormq_frames.confirms import Confirm, Confirms
from chassis.bus.aiormq_frames.messages import RawDelivery, properties_of
from chassis.bus.aiormq_frames.transport import TappedConnection, transport_of
from chassis.bus.protocol import BusUnavailable, MessageNotEncodable
from chassis.cancellation import is_being_cancelled
from chassis.messaging.envelope import WireMessage

CONNECT_S_MAX = 5.0
CLOSE_S_MAX = 3.0
# The broker closes the channel with these errors if the user lacks a right, a name is unknown or a size limit
# is exceeded.
REFUSED_BY_BROKER = (ChannelAccessRefused, ChannelNotFoundEntity, ChannelPreconditionFailed)
_PERSISTENT = 2
# pamqp's encoder rejects only a few values explicitly; for all others Python's own errors surface.
_CANNOT_ENCODE = (TypeError, ValueError, OverflowError, struct.error, RecursionError, AttributeError)
# A body frame has 8 bytes beside its payload.
_FRAME_OVERHEAD = 8


@asynccontextmanager
async def broker_call(limit_s: float) -> AsyncIterator[None]:
    """Translate an unreachable or silent broker into BusUnavailable.

    Channel errors (ChannelClosed) pass unchanged.

    aiormq raises CancelledError on a dead connection, too.
    """
    try:
        async with asyncio.timeout(limit_s):
            yield
    except asyncio.CancelledError:
        if is_being_cancelled():
            raise
        raise BusUnavailable("the connection died") from None
    except TimeoutError:
        raise BusUnavailable(f"no answer within {limit_s:.0f} s") from None
    except ChannelClosed:
        raise
    # aiormq raises StopAsyncIteration if the server hangs up during the handshake.
    except (AMQPError, ChannelInvalidStateError, OSError, StopAsyncIteration) as error:
        raise BusUnavailable(describe(error)) from error
    # It raises a RuntimeError about a connection that has just closed, and a plain Exception from calls that
    # wait when the server hangs up between two frames.
    except Exception as error:
        if type(error) not in (Exception, RuntimeError):
            raise
        raise BusUnavailable(describe(error)) from error


async def best_effort(work: Coroutine[Any, Any, object]) -> None:
    """Run cleanup calls to the broker; ignore it if the broker is unavailable."""
    with suppress(BusUnavailable, ChannelClosed):
        async with broker_call(CLOSE_S_MAX):
            await work


class Connection:
    """One connection. `open` reconnects it after a loss."""

    def __init__(self, url: str | Callable[[], str], purpose: str, heartbeat_s: int) -> None:
        self._url = url
        self._heartbeat_s = heartbeat_s
        self._purpose = purpose
        self._connection: TappedConnection | None = None
        self._main_channel: aiormq.Channel | None = None
        self._opening = asyncio.Lock()
        self._opening_main_channel = asyncio.Lock()

    @property
    def up(self) -> bool:
        return self._connection is not None and not self._connection.is_closed

    @property
    def alarm(self) -> str:
        """Why the broker blocks publishing on this connection; empty if it does not,
        or before the first publish.
        """
        return self._connection.transport.tap.alarm if self._connection is not None and self.up else ""

    async def open(self) -> None:
        async with self._opening:
            if not self.up:
                url = URL(self._url if isinstance(self._url, str) else self._url())
                connection = TappedConnection(url.update_query(heartbeat=self._heartbeat_s))
                await connection.connect({"connection_name": self._purpose})
                self._connection = connection
                telemetry.log.info("connected to the broker", purpose=self._purpose)

    async def channel(
        self, take: Callable[[aiormq.Channel, RawDelivery], None] | None = None
    ) -> aiormq.Channel:
        """A new channel. With `take`, every delivery on this channel is passed to it.

        Publish on it with `publish` only: aiormq's own `basic_publish` gets no confirm.
        """
        await self.open()
        assert self._connection is not None
        channel = await self._connection.channel(publisher_confirms=True)
        assert isinstance(channel, aiormq.Channel)
        tap = self._connection.transport.tap
        confirms = Confirms()
        tap.confirms[channel.number] = confirms
        if take:
            tap.take[channel.number] = partial(take, channel)

        def on_closed(closing: asyncio.Future[object]) -> None:
            tap.forget(channel.number, confirms)
            confirms.fail(_error_of(closing))

        channel.closing.add_done_callback(on_closed)
        return channel

    async def main_channel(self) -> aiormq.Channel:
        """The shared channel, reopened if the broker closed it."""
        async with self._opening_main_channel:
            if self._main_channel is None or self._main_channel.is_closed:
                self._main_channel = await self.channel()
            return self._main_channel

    async def close(self) -> None:
        if self._connection is not None:
            await self._connection.close()


def _error_of(closing: asyncio.Future[object]) -> Exception:
    """The result of the publishes that a closed channel leaves without a confirm."""
    error = None if closing.cancelled() else closing.exception()
    if isinstance(error, ChannelClosed):
        return error
    return BusUnavailable(f"the connection died: {describe(error or ConnectionError())}")


async def publish(
    channel: aiormq.Channel, wire_messages: Sequence[WireMessage], user: str, *, limit_s: float
) -> list[Exception | None]:
    """Publish all messages in one write, then wait once for all confirms; one result per message.

    ChannelClosed as a result means that one of the messages was refused, not necessarily this one.
    """
    if channel.is_closed:
        return [BusUnavailable("the channel is closed")] * len(wire_messages)
    transport = transport_of(channel)
    confirms = transport.tap.confirms[channel.number]
    results: list[Confirm | MessageNotEncodable] = []
    written = bytearray()
    for wire_message in wire_messages:
        try:
            written += _marshalled(channel, wire_message, user)
        except _CANNOT_ENCODE as error:
            results.append(MessageNotEncodable(f"AMQP cannot carry this message: {error}"))
        else:
            results.append(confirms.expect(wire_message.message_id))
    transport.write(bytes(written))
    if expected := [pending for pending in results if isinstance(pending, asyncio.Future)]:
        await asyncio.wait(expected, timeout=limit_s)
    return [_result(pending) for pending in results]


def _result(pending: Confirm | MessageNotEncodable) -> Exception | None:
    """The error of a publish; None if the message was confirmed and routed."""
    if isinstance(pending, MessageNotEncodable):
        return pending
    return pending.result() if pending.done() else BusUnavailable("no confirm in time")


def write(channel: aiormq.Channel, frames: Iterable[Frame]) -> None:
    """Write frames that the broker does not reply to. They precede what aiormq has not written yet."""
    transport_of(channel).write(b"".join(marshal(frame, channel.number) for frame in frames))


def _marshalled(channel: aiormq.Channel, wire_message: WireMessage, user: str) -> bytes:
    """The frames of a message. Raises one of _CANNOT_ENCODE if AMQP cannot carry it."""
    properties = properties_of(wire_message, user_id=user, delivery_mode=_PERSISTENT)
    body = wire_message.body
    size = channel.connection.connection_tune.frame_max - _FRAME_OVERHEAD
    start = _addressed(channel.number, wire_message.exchange, wire_message.routing_key)
    head = start + marshal(ContentHeader(0, len(body), properties), channel.number)
    if len(head) > size:
        raise ValueError(f"its headers have {len(head)} bytes")
    return head + b"".join(
        marshal(ContentBody(body[at : at + size]), channel.number) for at in range(0, len(body), size)
    )


@lru_cache(1_000)
def _addressed(channel: int, exchange: str, routing_key: str) -> bytes:
    """The Basic.Publish frame, cached because a service publishes to few routes."""
    return marshal(Basic.Publish(exchange=exchange, routing_key=routing_key, mandatory=True), channel)
