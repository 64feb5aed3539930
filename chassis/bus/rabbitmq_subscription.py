"""Consumption of one RabbitMQ queue. The prefetch drops to one while messages may be killing consumers."""

import asyncio
from contextlib import suppress
from functools import partial

import aiormq
from aiormq.abc import DeliveredMessage
from aiormq.exceptions import ChannelClosed
from pamqp.base import Frame
from pamqp.commands import Basic

from chassis import telemetry
from chassis.bus.aiormq_frames import aiormq_connection
from chassis.bus.aiormq_frames.broker_errors import missing_right
from chassis.bus.aiormq_frames.messages import RawDelivery
from chassis.bus.protocol import BusUnavailable, Delivery, QueueMissing, Receive
from chassis.bus.retry_ladder import RETURNS_SUSPECT
from chassis.messaging.identity import new_id

SETTLE_S = 0.05
# Prefix of the consumer tag: deliveries come one at a time, or up to the prefetch.
_ONE = "one"
_MANY = "many"
# The prefetch stays 1 until no suspect has arrived for this long. The broker requeues the messages of a dead
# consumer shortly after its connection ends; until then the queue looks healthy.
PROBATION_S = 1.0
# How often an idle subscription asks the broker whether messages wait.
LOOK_S = 5.0


class RabbitSubscription:
    """See chassis.bus.protocol.Subscription.

    Starts with a prefetch of 1, and switches to the configured one after a second without a suspect. A
    message that was returned several times is suspect: it, or a message delivered together with it, may crash
    the consumers. It is handled alone, because the broker counts a crash against every unacknowledged
    message. The broker keeps this count, so it survives our process.

    An idle subscription compares the queue with what it receives. If messages wait that the broker does not
    deliver, the broker has forgotten the consumer, and the subscription starts another.
    """

    def __init__(
        self, connection: aiormq_connection.Connection, queue: str, prefetch: int, receive: Receive
    ) -> None:
        self._connection = connection
        self._queue = queue
        self._prefetch = prefetch
        self._receive = receive
        self._channel: aiormq.Channel | None = None
        self._tag = ""
        self._wide = False
        self._clean_since = 0.0
        self._widening: asyncio.TimerHandle | None = None
        self._suspects: set[int] = set()  # the tags of unsettled suspects
        self._adapting: asyncio.Task[None] | None = None
        self._paused = False
        self._changing = asyncio.Lock()
        self._settled: list[Frame] = []
        self._unsettled = 0
        self._delivered = 0
        self._delivered_before = 0
        self._next_look = 0.0
        self._starved = False

    @property
    def alive(self) -> bool:
        return self._paused or self._consuming or (self._adapting is not None and not self._adapting.done())

    @property
    def _consuming(self) -> bool:
        """If the broker cancels our consumer (its queue was deleted),
        the tag is gone and the channel stays open.
        """
        return self._channel is not None and not self._channel.is_closed and self._tag != ""

    async def consume(self) -> None:
        """Start consuming, unless it runs or is paused. Idempotent; raises QueueMissing."""
        async with self._changing:
            if self._paused or (self._consuming and not await self._forgotten()):
                return
            if self._channel is None or self._channel.is_closed:
                self._channel = await self._connection.channel(self._take)
                self._tag = ""
                self._channel.on_consumer_cancel_callbacks.add(self._on_cancelled)
                self._settled.clear()
                self._suspects.clear()
                self._unsettled = 0
            self._wide = False
            self._begin_probation()
            try:
                await self._begin(self._channel)
            except aiormq_connection.REFUSED_BY_BROKER as error:
                right = missing_right(str(error), "read")
                reason = right or f"{error}; run `journey topology apply`"
                raise QueueMissing(f"queue {self._queue!r}: {reason}") from None

    async def _begin(self, channel: aiormq.Channel) -> None:
        """Replace the consumer. A prefetch applies to consumers that start after it was set.

        Deliveries of the previous consumer do not count. So one message more than the prefetch may be
        unsettled until the first is settled. If a call fails or the broker does not respond, the consumer's
        state is unknown: close the channel; the reconnect loop opens another.
        """
        try:
            if self._tag:
                await channel.basic_cancel(self._tag)
            self._tag = f"{_MANY if self._wide else _ONE}.{new_id()}"
            self._next_look = asyncio.get_running_loop().time() + LOOK_S
            self._starved = False
            await channel.basic_qos(prefetch_count=self._prefetch if self._wide else 1)
            await channel.basic_consume(self._queue, _unheard, consumer_tag=self._tag)
        except BaseException:  # a time limit cancels
            await self._abandon(channel)
            raise

    async def _abandon(self, channel: aiormq.Channel) -> None:
        self._channel = None
        await aiormq_connection.best_effort(channel.close())

    async def _forgotten(self) -> bool:
        """Whether the broker has forgotten this consumer; then the channel is abandoned.

        That is so if twice in succession nothing was delivered since the last look, nothing is unsettled, and
        the queue holds messages that are ready for delivery. Once is not enough: a message may have arrived
        in this moment.
        """
        channel = self._channel
        now = asyncio.get_running_loop().time()
        delivered = self._delivered
        if channel is None or now < self._next_look:
            return False
        is_idle = delivered == self._delivered_before and not self._unsettled
        self._next_look = now + LOOK_S
        self._delivered_before = delivered
        is_starved = is_idle and await self._messages_wait(channel)
        forgotten = is_starved and self._starved
        self._starved = is_starved
        if forgotten:
            telemetry.log.warning("messages wait but none is delivered; restarting", queue=self._queue)
            await self._abandon(channel)
        return forgotten

    async def _messages_wait(self, channel: aiormq.Channel) -> bool:
        """A passive declaration counts the messages that are ready (AMQP 0-9-1, queue.declare-ok)."""
        try:
            reply = await channel.queue_declare(self._queue, passive=True)
        except BaseException:  # a time limit cancels
            await self._abandon(channel)
            raise
        return bool(reply.message_count)

    async def pause(self) -> None:
        async with self._changing:
            self._paused = True
            if self._channel is not None and self._consuming:
                tag = self._tag
                self._tag = ""
                await aiormq_connection.best_effort(self._channel.basic_cancel(tag))

    async def resume(self) -> None:
        """The reconnect loop retries what fails here."""
        self._paused = False
        with suppress(QueueMissing):
            await aiormq_connection.best_effort(self.consume())

    async def close(self) -> None:
        """Close in order, so that the broker has read every acknowledgement."""
        await self.pause()
        self._write_settled()
        if self._channel is not None:
            await aiormq_connection.best_effort(self._channel.close())

    def _take(self, channel: aiormq.Channel, taken: RawDelivery) -> None:
        """Ignores deliveries on an abandoned channel:
        they cannot be acknowledged and are redelivered on the next.
        """
        if channel is not self._channel or channel.is_closed:
            return
        self._delivered += 1
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
        self._unsettled += 1
        settle = partial(self._settle, channel, taken.tag)
        self._receive(Delivery(taken.wire_message, self._queue, settle, returned=taken.returned))

    def _on_cancelled(self, frame: Basic.Cancel) -> None:
        """The broker has cancelled a consumer of the channel. The reconnect loop starts another."""
        if frame.consumer_tag == self._tag:
            self._tag = ""

    def _begin_probation(self) -> None:
        """Restart the probation.

        A timer of the previous channel would find its channel closed and not widen the prefetch.
        """
        self._clean_since = asyncio.get_running_loop().time()
        if self._widening is not None:
            self._widening.cancel()
            self._widening = None

    def _widen(self, channel: aiormq.Channel) -> None:
        """Switch to the full prefetch after the probation, which lasts as long as a suspect is unsettled."""
        loop = asyncio.get_running_loop()
        if self._suspects:
            self._clean_since = loop.time()
        left_s = self._clean_since + PROBATION_S - loop.time()
        self._widening = loop.call_later(left_s, self._widen, channel) if left_s > 0 else None
        if self._widening is None and channel is self._channel and not channel.is_closed and not self._wide:
            self._wide = True
            self._adapt(channel)

    def _narrow(self, channel: aiormq.Channel) -> None:
        """Go back to a prefetch of 1. Cancel first, or the broker would redeliver at once what we requeue."""
        self._begin_probation()
        if self._wide:
            self._wide = False
            telemetry.log.warning(
                "a message was returned several times; prefetch is now 1", queue=self._queue
            )
            if self._tag:
                aiormq_connection.write(channel, [Basic.Cancel(self._tag, nowait=True)])
            self._adapt(channel)

    def _adapt(self, channel: aiormq.Channel) -> None:
        """Replace the consumer in the background. After a failure the reconnect loop starts another."""

        async def adapt() -> None:
            async with self._changing:
                if self._paused or channel is not self._channel or channel.is_closed:
                    return
                with suppress(BusUnavailable, ChannelClosed):
                    async with aiormq_connection.broker_call(aiormq_connection.CONNECT_S_MAX):
                        await self._begin(channel)

        self._adapting = asyncio.create_task(adapt())

    async def _settle(self, channel: aiormq.Channel, tag: int, done: bool) -> None:
        """Collect acknowledgements and write them together, before the prefetch is used up.

        Each write of its own would cost the broker, and nothing waits for it. On a lost channel delivery tags
        are void.
        """
        if channel is self._channel and not channel.is_closed:
            self._suspects.discard(tag)
            self._unsettled -= 1
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
    """The callback that aiormq requires. Never called, because deliveries are intercepted first."""
