"""Consumption of one queue on RabbitMQ, with a prefetch that gives way to messages over which consumers die."""

import asyncio
from contextlib import suppress
from functools import partial

import aiormq
from aiormq.abc import DeliveredMessage
from aiormq.exceptions import ChannelClosed
from pamqp.base import Frame
from pamqp.commands import Basic

from chassis import telemetry
from chassis.bus import aiormq_connection
from chassis.bus.aiormq_frames import RawDelivery
from chassis.bus.protocol import BusUnavailable, Delivery, QueueMissing, Receive
from chassis.core.retry import RETURNS_SUSPECT
from contracts.identity import new_id

SETTLE_S = 0.05
# How the tag of a consumer begins: what it is given comes one at a time, or as many as the prefetch allows.
_ONE, _MANY = "one", "many"
# For so long no suspect must have come before more than one message is in hand. What a dead consumer held is given back
# a moment after its connection has ended, and until then the queue looks healthy.
PROBATION_S = 1.0


class RabbitSubscription:
    """See chassis.bus.protocol.Subscription.

    It begins with a prefetch of 1, and goes on with its own when no message was suspect for a second. What has
    come back several times is suspect: it, or a neighbour, may be what the consumers die over. It is handled alone,
    because the broker counts a death against every message that is in hand. The count is the broker's, so it outlives
    our process.
    """

    def __init__(self, connection: aiormq_connection.Connection, queue: str, prefetch: int, receive: Receive) -> None:
        self._connection, self._queue, self._prefetch, self._receive = connection, queue, prefetch, receive
        self._channel: aiormq.Channel | None = None
        self._tag = ""
        self._wide = False
        self._clean_since = 0.0
        self._widening: asyncio.TimerHandle | None = None
        self._suspects: set[int] = set()  # the tags of those in hand
        self._adapting: asyncio.Task[None] | None = None
        self._paused = False
        self._changing = asyncio.Lock()
        self._settled: list[Frame] = []

    @property
    def alive(self) -> bool:
        return self._paused or self._consuming or (self._adapting is not None and not self._adapting.done())

    @property
    def _consuming(self) -> bool:
        """A broker that ends our consumer (its queue was deleted) takes the tag away and leaves the channel open."""
        return self._channel is not None and not self._channel.is_closed and self._tag in self._channel.consumers

    async def consume(self) -> None:
        """Idempotent."""
        async with self._changing:
            if self._paused or self._consuming:
                return
            if self._channel is None or self._channel.is_closed:
                self._channel = await self._connection.channel(self._take)
                self._settled.clear()
                self._suspects.clear()
            self._wide = False
            self._begin_probation()
            try:
                await self._begin(self._channel)
            except aiormq_connection.REFUSED_BY_BROKER as error:
                raise QueueMissing(f"queue {self._queue!r}: {error}; run `journey topology apply`") from None

    async def _begin(self, channel: aiormq.Channel) -> None:
        """A consumer takes the place of the one before. Prefetch counts for consumers that come after it.

        What the one before was given does not count: so there may be one message more than the prefetch in hand, until
        the first one is settled.
        """
        if self._tag in channel.consumers:
            await channel.basic_cancel(self._tag)
        self._tag = f"{_MANY if self._wide else _ONE}.{new_id()}"
        await channel.basic_qos(prefetch_count=self._prefetch if self._wide else 1)
        await channel.basic_consume(self._queue, _unheard, consumer_tag=self._tag)

    async def pause(self) -> None:
        async with self._changing:
            self._paused = True
            if self._channel is not None and self._consuming:
                await aiormq_connection.best_effort(self._channel.basic_cancel(self._tag))

    async def resume(self) -> None:
        """What fails here the watchman does later."""
        self._paused = False
        with suppress(QueueMissing):
            await aiormq_connection.best_effort(self.consume())

    async def close(self) -> None:
        """In good order: then the broker has read every acknowledgement."""
        await self.pause()
        self._write_settled()
        if self._channel is not None:
            await aiormq_connection.best_effort(self._channel.close())

    def _take(self, channel: aiormq.Channel, taken: RawDelivery) -> None:
        """What comes on a channel that we have given up could not be acknowledged: it comes again on the next one."""
        if channel is not self._channel or channel.is_closed:
            return
        suspect = taken.returned >= RETURNS_SUSPECT
        if suspect and (self._wide or not taken.consumer.startswith(_ONE)):
            self._narrow(channel)
            aiormq_connection.write(channel, [Basic.Reject(taken.tag, requeue=True)])
            return
        if suspect:
            self._suspects.add(taken.tag)
            self._clean_since = asyncio.get_running_loop().time()
        elif not self._wide and self._widening is None and self._prefetch > 1:
            self._widen(channel)
        self._receive(
            Delivery(taken.wire_message, self._queue, partial(self._settle, channel, taken.tag), taken.returned)
        )

    def _begin_probation(self) -> None:
        """A timer of the channel before would find that its channel is gone, and widen nothing."""
        self._clean_since = asyncio.get_running_loop().time()
        if self._widening is not None:
            self._widening.cancel()
            self._widening = None

    def _widen(self, channel: aiormq.Channel) -> None:
        """At the end of the probation. It does not end while a suspect is in hand, however long its handling takes."""
        loop = asyncio.get_running_loop()
        if self._suspects:
            self._clean_since = loop.time()
        left_s = self._clean_since + PROBATION_S - loop.time()
        self._widening = loop.call_later(left_s, self._widen, channel) if left_s > 0 else None
        if self._widening is None and channel is self._channel and not channel.is_closed and not self._wide:
            self._wide = True
            self._adapt(channel)

    def _narrow(self, channel: aiormq.Channel) -> None:
        """Cancelled first, or the broker would give us at once what we give back."""
        self._begin_probation()
        if self._wide:
            self._wide = False
            telemetry.log.warning("a message came back several times, one at a time from here on", queue=self._queue)
            if channel.consumers.pop(self._tag, None):
                aiormq_connection.write(channel, [Basic.Cancel(self._tag, nowait=True)])
            self._adapt(channel)

    def _adapt(self, channel: aiormq.Channel) -> None:
        """Without an answer the broker's consumer is unknown: close the channel; the reconnect loop opens another."""

        async def adapt() -> None:
            async with self._changing:
                if self._paused or channel is not self._channel or channel.is_closed:
                    return
                try:
                    async with aiormq_connection.broker_call(aiormq_connection.CONNECT_S_MAX):
                        await self._begin(channel)
                except (BusUnavailable, ChannelClosed):
                    self._channel = None
                    await aiormq_connection.best_effort(channel.close())

        self._adapting = asyncio.create_task(adapt())

    async def _settle(self, channel: aiormq.Channel, tag: int, done: bool) -> None:
        """Nobody waits for these, and each by itself costs the broker a write: those of a while go together, before
        the prefetch is used up. On a lost channel numbers mean nothing any more."""
        if channel is self._channel and not channel.is_closed:
            self._suspects.discard(tag)
            self._settled.append(Basic.Ack(tag) if done else Basic.Reject(tag, requeue=True))
            if len(self._settled) * 4 > (self._prefetch if self._wide else 1):
                self._write_settled()
            elif len(self._settled) == 1:
                asyncio.get_running_loop().call_later(SETTLE_S, self._write_settled)

    def _write_settled(self) -> None:
        if self._settled and self._channel is not None and not self._channel.is_closed:
            aiormq_connection.write(self._channel, self._settled)
        self._settled.clear()


async def _unheard(_: DeliveredMessage) -> None:
    """What aiormq would call, if deliveries were not taken before it sees them."""
