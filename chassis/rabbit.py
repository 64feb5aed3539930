"""The bus on RabbitMQ. Two connections: a bad publish must not take the consumers down.

Connections are plain ones; one watchman builds anew whatever was lost. Nothing is ever declared, so a service needs no
`configure` right and cannot bend the topology.
"""

import asyncio
import random
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial

import aiormq
from aiormq.abc import DeliveredMessage
from aiormq.exceptions import ChannelAccessRefused, ChannelClosed, ChannelNotFoundEntity, ChannelPreconditionFailed
from pamqp.base import Frame
from pamqp.commands import Basic
from yarl import URL

from chassis import amqp, telemetry
from chassis.bus import BusUnavailable, Delivery, PublishingBlocked, QueueMissing, Receive, Uncarriable, Unroutable
from chassis.deliveries import Taken
from chassis.retry import RETURNS_SUSPECT
from contracts.envelope import Parcel
from contracts.identity import new_id

ANSWER_S_MAX = 10.0
SETTLE_S = 0.05
_WATCH_S_MIN, _WATCH_S_MAX = 0.2, 5.0
_REFUSED = (ChannelAccessRefused, ChannelNotFoundEntity, ChannelPreconditionFailed)


class RabbitBus:
    """See chassis.bus.Bus. The broker user that `url` names is set as user_id, which the broker verifies."""

    def __init__(self, url: str, *, heartbeat_s: int = 20, answer_s_max: float = ANSWER_S_MAX) -> None:
        self._user = URL(url).user or ""
        self._answer_s_max = answer_s_max
        self._publishing = amqp.Connection(url, "publish", heartbeat_s)
        self._consuming = amqp.Connection(url, "consume", heartbeat_s)
        self._subscriptions: list[RabbitSubscription] = []
        self._in_flight: dict[str | None, asyncio.Future[None]] = {}
        self._watchman: asyncio.Task[None] | None = None

    async def start(self) -> None:
        for connection in (self._publishing, self._consuming):
            async with amqp.answered(amqp.CONNECT_S_MAX):
                await connection.open()
        self._watchman = asyncio.create_task(self._watch(), name="rabbit watchman")

    async def stop(self) -> None:
        if self._watchman is not None:
            self._watchman.cancel()
            await asyncio.wait([self._watchman])
        for subscription in self._subscriptions:
            await subscription.close()
        await amqp.tried(self._consuming.close())
        await amqp.tried(self._publishing.close())

    @property
    def ready(self) -> bool:
        return self._publishing.up and self._consuming.up and all(s.alive for s in self._subscriptions)

    async def ping(self) -> None:
        """On the consuming connection: a broker under an alarm does not read from one that publishes."""
        async with amqp.answered(self._answer_s_max):
            channel = await self._consuming.main_channel()
            try:
                await channel.basic_qos(prefetch_count=1)
            except ChannelClosed as error:
                raise BusUnavailable(f"the channel was closed: {error}") from None

    async def publish(self, parcels: Sequence[Parcel]) -> list[Exception | None]:
        parcels = [parcel if parcel.message_id else replace(parcel, message_id=str(new_id())) for parcel in parcels]
        ids = [parcel.message_id for parcel in parcels]
        while earlier := {self._in_flight[id_] for id_ in ids if id_ in self._in_flight}:
            await asyncio.wait(earlier)
        done = asyncio.get_running_loop().create_future()
        self._in_flight |= dict.fromkeys(ids, done)
        try:
            return await self._judged_singly(parcels, await self._publish(parcels, alone=False))
        finally:
            for id_ in ids:
                self._in_flight.pop(id_, None)
            done.set_result(None)

    async def _judged_singly(
        self, parcels: Sequence[Parcel], results: list[Exception | None]
    ) -> list[Exception | None]:
        """A parcel that the broker refuses closes the channel for all that are on it.

        Whoever lost the answer that way is published again, alone on a channel, to be judged by itself.
        """
        away: Exception | None = None  # then the rest need not be tried
        for index, parcel in enumerate(parcels):
            if not isinstance(results[index], ChannelClosed):
                continue
            [result] = [away] if away else await self._publish([parcel], alone=True)
            if isinstance(result, ChannelClosed):
                refusal = f"{parcel.routing_key!r} to exchange {parcel.exchange!r}: {result}"
                result = _refusal(result, refusal)
            results[index] = result
            away = result if isinstance(result, BusUnavailable) else None
        return results

    async def _publish(self, parcels: Sequence[Parcel], *, alone: bool) -> list[Exception | None]:
        if alarm := self._publishing.alarm:
            return [PublishingBlocked(alarm)] * len(parcels)
        try:
            async with amqp.answered(self._answer_s_max):
                channel = await (self._publishing.channel() if alone else self._publishing.main_channel())
            results = await amqp.publish(channel, parcels, self._user, self._answer_s_max)
        except BusUnavailable as error:
            return [error] * len(parcels)
        if alone and not channel.is_closed:
            await amqp.tried(channel.close())
        return results

    async def subscribe(self, queue: str, prefetch: int, receive: Receive) -> "RabbitSubscription":
        subscription = RabbitSubscription(self._consuming, queue, prefetch, receive)
        async with amqp.answered(amqp.CONNECT_S_MAX):
            await subscription.consume()
        self._subscriptions.append(subscription)
        return subscription

    async def _watch(self) -> None:
        """Look often, for that costs nothing; after a failure less and less often, for that costs the broker."""
        pause_s = _WATCH_S_MIN
        while True:
            await asyncio.sleep(pause_s * random.uniform(0.5, 1.5))
            whole = True
            for mend in (self._publishing.open, self._consuming.open, *(s.consume for s in self._subscriptions)):
                try:
                    async with amqp.answered(amqp.CONNECT_S_MAX):
                        await mend()
                except Exception as error:  # the watchman must not end
                    whole = False
                    telemetry.log.warning("the broker is not as it should be, trying again", error=str(error))
            pause_s = _WATCH_S_MIN if whole else min(pause_s * 2, _WATCH_S_MAX)


def _refusal(closed: ChannelClosed, why: str) -> Exception:
    """What it means that a channel was closed over one message. Of preconditions it can only miss that of its size."""
    if isinstance(closed, ChannelPreconditionFailed):
        return Uncarriable(why)
    return Unroutable(why) if isinstance(closed, _REFUSED) else BusUnavailable(why)


# How the tag of a consumer begins: what it is given comes one at a time, or as many as the prefetch allows.
_ONE, _MANY = "one", "many"
# No suspect for so long, then more than one in hand: what a dead consumer held is given back a moment after its end.
PROBATION_S = 1.0


class RabbitSubscription:
    """See chassis.bus.Subscription.

    It begins with a prefetch of 1, and goes on with its own when no message was suspect for a second. What has
    come back several times is suspect: it, or a neighbour, may be what the consumers die over. It is handled alone,
    because the broker counts a death against every message that is in hand. The count is the broker's, so it outlives
    our process.
    """

    def __init__(self, connection: amqp.Connection, queue: str, prefetch: int, receive: Receive) -> None:
        self._connection, self._queue, self._prefetch, self._receive = connection, queue, prefetch, receive
        self._channel: aiormq.Channel | None = None
        self._tag = ""
        self._wide, self._widening = False, False
        self._clean_since = 0.0
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
            self._wide, self._clean_since = False, asyncio.get_running_loop().time()
            try:
                await self._begin(self._channel)
            except _REFUSED as error:
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
                await amqp.tried(self._channel.basic_cancel(self._tag))

    async def resume(self) -> None:
        """What fails here the watchman does later."""
        self._paused = False
        with suppress(QueueMissing):
            await amqp.tried(self.consume())

    async def close(self) -> None:
        """In good order: then the broker has read every acknowledgement."""
        await self.pause()
        self._write_settled()
        if self._channel is not None:
            await amqp.tried(self._channel.close())

    def _take(self, channel: aiormq.Channel, taken: Taken) -> None:
        """What comes on a channel that we have given up could not be acknowledged: it comes again on the next one."""
        if channel is not self._channel or channel.is_closed:
            return
        suspect = taken.returned >= RETURNS_SUSPECT
        if suspect and (self._wide or not taken.consumer.startswith(_ONE)):
            self._narrow(channel)
            amqp.write(channel, [Basic.Reject(taken.tag, requeue=True)])
            return
        if suspect:
            self._clean_since = asyncio.get_running_loop().time()
        elif not self._wide and not self._widening and self._prefetch > 1:
            self._widen(channel)
        self._receive(Delivery(taken.parcel, self._queue, partial(self._settle, channel, taken.tag), taken.returned))

    def _widen(self, channel: aiormq.Channel) -> None:
        """At the end of the probation."""
        loop = asyncio.get_running_loop()
        left_s = self._clean_since + PROBATION_S - loop.time()
        self._widening = left_s > 0
        if self._widening:
            loop.call_later(left_s, self._widen, channel)
        elif channel is self._channel and not channel.is_closed and not self._wide:
            self._wide = True
            self._adapt(channel)

    def _narrow(self, channel: aiormq.Channel) -> None:
        """Cancelled first, or the broker would give us at once what we give back."""
        self._clean_since = asyncio.get_running_loop().time()
        if self._wide:
            self._wide = False
            telemetry.log.warning("a message came back several times, one at a time from here on", queue=self._queue)
            if channel.consumers.pop(self._tag, None):
                amqp.write(channel, [Basic.Cancel(self._tag, nowait=True)])
            self._adapt(channel)

    def _adapt(self, channel: aiormq.Channel) -> None:
        """Without an answer nobody knows which consumer the broker has: the channel is given up, and the watchman
        begins with another."""

        async def adapt() -> None:
            async with self._changing:
                if self._paused or channel is not self._channel or channel.is_closed:
                    return
                try:
                    async with amqp.answered(amqp.CONNECT_S_MAX):
                        await self._begin(channel)
                except (BusUnavailable, ChannelClosed):
                    self._channel = None
                    await amqp.tried(channel.close())

        self._adapting = asyncio.create_task(adapt())

    async def _settle(self, channel: aiormq.Channel, tag: int, done: bool) -> None:
        """Nobody waits for these, and each by itself costs the broker a write: those of a while go together, before
        the prefetch is used up. On a lost channel numbers mean nothing any more."""
        if channel is self._channel and not channel.is_closed:
            self._settled.append(Basic.Ack(tag) if done else Basic.Reject(tag, requeue=True))
            if len(self._settled) * 4 > (self._prefetch if self._wide else 1):
                self._write_settled()
            elif len(self._settled) == 1:
                asyncio.get_running_loop().call_later(SETTLE_S, self._write_settled)

    def _write_settled(self) -> None:
        if self._settled and self._channel is not None and not self._channel.is_closed:
            amqp.write(self._channel, self._settled)
        self._settled.clear()


async def _unheard(_: DeliveredMessage) -> None:
    """What aiormq would call, if deliveries were not taken before it sees them."""
