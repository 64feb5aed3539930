"""The bus on RabbitMQ.

Publishing and consuming use separate connections, so a failed publish cannot stop consumption.

Connections are plain aiormq ones; one reconnect loop restores what was lost. A service declares nothing, so
it needs no `configure` right and cannot change the topology.
"""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import replace

from aiormq.exceptions import ChannelAccessRefused, ChannelClosed, ChannelPreconditionFailed
from yarl import URL

from chassis import telemetry
from chassis.backoff import Backoff
from chassis.bus.aiormq_frames import aiormq_connection
from chassis.bus.aiormq_frames.broker_errors import missing_right
from chassis.bus.protocol import (
    AccessRefused,
    BusUnavailable,
    MessageNotEncodable,
    PublishingBlocked,
    Receive,
    Unroutable,
)
from chassis.bus.rabbitmq_subscription import RabbitSubscription
from chassis.messaging.envelope import WireMessage
from chassis.messaging.identity import new_id

RESPONSE_S_MAX = 10.0
_RECONNECT_S_MIN = 0.2
_RECONNECT_S_MAX = 5.0


class RabbitBus:
    """See chassis.bus.protocol.Bus.

    Publishes with the user of `url` as user_id, which the broker verifies. A function as `url` is called for
    each connection, so that a new password counts from the next one on.
    """

    def __init__(
        self,
        url: str | Callable[[], str],
        *,
        heartbeat_s: int = 20,
        response_s_max: float = RESPONSE_S_MAX,
    ) -> None:
        self._user = URL(url if isinstance(url, str) else url()).user or ""
        self._response_s_max = response_s_max
        self._publishing = aiormq_connection.Connection(url, "publish", heartbeat_s)
        self._consuming = aiormq_connection.Connection(url, "consume", heartbeat_s)
        self._subscriptions: list[RabbitSubscription] = []
        self._in_flight: dict[str | None, asyncio.Future[None]] = {}
        self._reconnecting: asyncio.Task[None] | None = None

    async def start(self) -> None:
        for connection in (self._publishing, self._consuming):
            async with aiormq_connection.broker_call(aiormq_connection.CONNECT_S_MAX):
                await connection.open()
        self._reconnecting = asyncio.create_task(self._reconnect(), name="reconnect loop")

    async def stop(self) -> None:
        if self._reconnecting is not None:
            self._reconnecting.cancel()
            await asyncio.wait([self._reconnecting])
        for subscription in self._subscriptions:
            await subscription.close()
        await aiormq_connection.best_effort(self._consuming.close())
        await aiormq_connection.best_effort(self._publishing.close())

    @property
    def ready(self) -> bool:
        return self._publishing.up and self._consuming.up and all(s.alive for s in self._subscriptions)

    async def ping(self) -> None:
        """Uses the consuming connection: during an alarm the broker does not read from connections that
        publish.
        """
        async with aiormq_connection.broker_call(self._response_s_max):
            channel = await self._consuming.main_channel()
            try:
                await channel.basic_qos(prefetch_count=1)
            except ChannelClosed as error:
                raise BusUnavailable(f"the channel was closed: {error}") from None

    async def publish(self, wire_messages: Sequence[WireMessage]) -> list[Exception | None]:
        wire_messages = [
            wire_message if wire_message.message_id else replace(wire_message, message_id=str(new_id()))
            for wire_message in wire_messages
        ]
        ids = [wire_message.message_id for wire_message in wire_messages]
        while earlier := {self._in_flight[id_] for id_ in ids if id_ in self._in_flight}:
            await asyncio.wait(earlier)
        done = asyncio.get_running_loop().create_future()
        self._in_flight |= dict.fromkeys(ids, done)
        try:
            return await self._judged_singly(wire_messages, await self._publish(wire_messages, alone=False))
        finally:
            for id_ in ids:
                self._in_flight.pop(id_, None)
            done.set_result(None)

    async def _judged_singly(
        self, wire_messages: Sequence[WireMessage], results: list[Exception | None]
    ) -> list[Exception | None]:
        """Publish again, one by one, the messages whose result was lost with the channel.

        The broker closes the channel over one refused message, so the other messages on it get no result. A
        channel of its own for each message shows which one is refused.
        """
        away: Exception | None = None  # once set, the remaining messages are not tried
        for index, wire_message in enumerate(wire_messages):
            if not isinstance(results[index], ChannelClosed):
                continue
            [result] = [away] if away else await self._publish([wire_message], alone=True)
            if isinstance(result, ChannelClosed):
                detail = f"{wire_message.routing_key!r} to exchange {wire_message.exchange!r}: {result}"
                result = _publish_error(result, detail)
            results[index] = result
            away = result if isinstance(result, BusUnavailable) else None
        return results

    async def _publish(self, wire_messages: Sequence[WireMessage], *, alone: bool) -> list[Exception | None]:
        if alarm := self._publishing.alarm:
            return [PublishingBlocked(alarm)] * len(wire_messages)
        try:
            async with aiormq_connection.broker_call(self._response_s_max):
                channel = await (self._publishing.channel() if alone else self._publishing.main_channel())
            results = await aiormq_connection.publish(
                channel, wire_messages, self._user, limit_s=self._response_s_max
            )
        except BusUnavailable as error:
            return [error] * len(wire_messages)
        if alone and not channel.is_closed:
            await aiormq_connection.best_effort(channel.close())
        return results

    async def subscribe(self, queue: str, prefetch: int, receive: Receive) -> "RabbitSubscription":
        subscription = RabbitSubscription(self._consuming, queue, prefetch, receive=receive)
        async with aiormq_connection.broker_call(aiormq_connection.CONNECT_S_MAX):
            await subscription.consume()
        self._subscriptions.append(subscription)
        return subscription

    async def _reconnect(self) -> None:
        """The reconnect loop.

        It checks often while all is well, because that costs nothing, and backs off after a failure.
        """
        backoff = Backoff(_RECONNECT_S_MIN, _RECONNECT_S_MAX)
        while True:
            await backoff.pause()
            whole = True
            for mend in (
                self._publishing.open,
                self._consuming.open,
                *(s.consume for s in self._subscriptions),
            ):
                try:
                    async with aiormq_connection.broker_call(aiormq_connection.CONNECT_S_MAX):
                        await mend()
                except Exception as error:  # the reconnect loop must not end
                    whole = False
                    telemetry.log.warning("the broker is not as it should be, trying again", error=str(error))
            if whole:
                backoff.reset()


def _publish_error(closed: ChannelClosed, why: str) -> Exception:
    """The error for a channel closed over one message.

    PRECONDITION_FAILED can only mean that it is too large.
    """
    if isinstance(closed, ChannelPreconditionFailed):
        return MessageNotEncodable(why)
    if isinstance(closed, ChannelAccessRefused):
        return AccessRefused(f"{missing_right(str(closed), 'write') or 'a right is missing'}: {why}")
    return Unroutable(why) if isinstance(closed, aiormq_connection.REFUSED_BY_BROKER) else BusUnavailable(why)
