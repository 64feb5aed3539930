"""The bus on RabbitMQ, by aio-pika. Two connections: a bad publish must not take the consumers down.

Connections are plain ones, supervised here: on any loss everything on them is built anew, with backoff and jitter.
Nothing is ever declared actively, so a service needs no `configure` right and cannot bend the topology.
"""

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime
from typing import Any

import aio_pika
import aiormq
from aio_pika.abc import AbstractChannel, AbstractConnection, AbstractIncomingMessage
from pamqp.commands import Basic

from chassis import telemetry
from chassis.bus import BusUnavailable, QueueMissing, Receive, Unroutable
from contracts.envelope import Parcel

CONNECT_S_MAX = 5.0
CONFIRM_S_MAX = 10.0
_WATCH_S = 5.0
_PERSISTENT = 2


class RabbitBus:
    """See chassis.bus.Bus. `url` names the broker user; its name is set as user_id, which the broker verifies."""

    def __init__(self, url: str, heartbeat_s: int = 20, watch_s: float = _WATCH_S) -> None:
        self._url = url
        self._user = aio_pika.connection.make_url(url).user or ""
        self._publishing = _Link(url, "publish", heartbeat_s)
        self._consuming = _Link(url, "consume", heartbeat_s)
        self._subscriptions: list[RabbitSubscription] = []
        self._in_flight: dict[str, asyncio.Future[None]] = {}
        self._watch_s = watch_s

    async def start(self) -> None:
        await self._publishing.start()
        await self._consuming.start()

    async def stop(self) -> None:
        for subscription in self._subscriptions:
            await subscription.stop()
        await self._consuming.stop()
        await self._publishing.stop()

    @property
    def ready(self) -> bool:
        return self._publishing.up and self._consuming.up and all(s.alive for s in self._subscriptions)

    async def publish(self, parcels: Sequence[Parcel]) -> list[Exception | None]:
        if not parcels:
            return []
        try:
            async with _lost_connections(), asyncio.timeout(CONFIRM_S_MAX):
                channel = await self._publishing.publisher()
        except (BusUnavailable, TimeoutError) as error:
            return [BusUnavailable(str(error) or "no connection in time") for _ in parcels]
        if len(parcels) == 1:
            return [await self._publish_one(channel, parcels[0])]
        return await asyncio.gather(*(self._publish_one(channel, parcel) for parcel in parcels))

    async def _publish_one(self, channel: aiormq.Channel, parcel: Parcel) -> Exception | None:
        """None when confirmed and routed. `wait=False` skips only the wait for the socket, not the confirm."""
        id_ = parcel.message_id or ""
        while (earlier := self._in_flight.get(id_)) is not None:
            await asyncio.wait([earlier])
        done = self._in_flight[id_] = asyncio.get_running_loop().create_future()
        try:
            async with _lost_connections():
                result = await channel.basic_publish(
                    parcel.body,
                    exchange=parcel.exchange,
                    routing_key=parcel.routing_key,
                    properties=self._properties(parcel),
                    mandatory=True,
                    wait=False,
                    timeout=CONFIRM_S_MAX,
                )
        except aiormq.exceptions.DeliveryError as error:  # returned by the broker (no queue), or nacked
            if error.frame is not None and isinstance(error.frame, Basic.Return | Basic.Nack | Basic.Reject):
                if isinstance(error.frame, Basic.Nack | Basic.Reject):
                    return BusUnavailable("the broker refused the message for now (nack)")
                return Unroutable(f"no queue takes {parcel.routing_key!r} from exchange {parcel.exchange!r}")
            return Unroutable(f"{parcel.routing_key!r} on {parcel.exchange!r} was returned")
        except aiormq.exceptions.AMQPChannelError as error:  # 403, 404, 406: it closes the channel for all on it
            # The innocent ones see the same error; each is tried once more by itself to tell who was to blame.
            return await self._blame(parcel, error)
        except BusUnavailable as error:
            return error
        except TimeoutError:
            return BusUnavailable(f"no confirm within {CONFIRM_S_MAX:.0f} s")
        finally:
            del self._in_flight[id_]
            done.set_result(None)
        if not isinstance(result, Basic.Ack):
            return Unroutable(f"{parcel.routing_key!r} on {parcel.exchange!r} was returned")
        return None

    async def _blame(self, parcel: Parcel, first: Exception) -> Exception | None:
        try:
            async with _lost_connections(), asyncio.timeout(CONFIRM_S_MAX):
                channel = await self._publishing.open_channel()
                try:
                    underlay = await channel.get_underlay_channel()
                    await underlay.basic_publish(
                        parcel.body,
                        exchange=parcel.exchange,
                        routing_key=parcel.routing_key,
                        properties=self._properties(parcel),
                        mandatory=True,
                    )
                finally:
                    with suppress(Exception):
                        await channel.close()
        except aiormq.exceptions.DeliveryError:
            return Unroutable(f"no queue takes {parcel.routing_key!r} from exchange {parcel.exchange!r}")
        except aiormq.exceptions.AMQPChannelError as error:
            return Unroutable(f"{parcel.routing_key!r} on {parcel.exchange!r}: {error}")
        except (BusUnavailable, TimeoutError) as error:
            return BusUnavailable(f"{error or 'timeout'} after {first}")
        return None

    def _properties(self, parcel: Parcel) -> Basic.Properties:
        return Basic.Properties(
            content_type=parcel.content_type,
            delivery_mode=_PERSISTENT,
            message_id=parcel.message_id,
            message_type=parcel.type,
            app_id=parcel.app_id,
            correlation_id=parcel.correlation_id,
            user_id=self._user,
            timestamp=datetime.now(UTC),
            headers=dict(parcel.headers),
        )

    async def subscribe(self, queue: str, prefetch: int, receive: Receive) -> "RabbitSubscription":
        subscription = RabbitSubscription(self._consuming, queue, prefetch, receive, self._watch_s)
        await subscription.start()
        self._subscriptions.append(subscription)
        return subscription


class _Link:
    """One connection that comes back by itself."""

    def __init__(self, url: str, purpose: str, heartbeat_s: int) -> None:
        self._url, self._purpose, self._heartbeat_s = url, purpose, heartbeat_s
        self._connection: AbstractConnection | None = None
        self._publisher: AbstractChannel | None = None
        self._opening = asyncio.Lock()
        self._supervisor: asyncio.Task[None] | None = None
        self._ready = asyncio.Event()

    @property
    def up(self) -> bool:
        return self._ready.is_set()

    async def start(self) -> None:
        await self._connect()
        self._supervisor = asyncio.create_task(self._supervise(), name=f"rabbit {self._purpose}")

    async def stop(self) -> None:
        if self._supervisor is not None:
            self._supervisor.cancel()
            await asyncio.wait([self._supervisor])
        self._ready.clear()
        if self._connection is not None:
            with suppress(Exception, asyncio.CancelledError):
                async with asyncio.timeout(3):
                    await self._connection.close()

    async def _connect(self) -> None:
        async with _lost_connections(), asyncio.timeout(CONNECT_S_MAX):
            self._connection = await aio_pika.connect(
                self._url,
                heartbeat=self._heartbeat_s,
                client_properties={"connection_name": self._purpose},
            )
        self._publisher = None
        self._ready.set()

    async def _supervise(self) -> None:
        """Wait for the loss, then connect again, for ever. Waiting is polling: a closed transport is a fact."""
        backoff = 0.2
        while True:
            await asyncio.sleep(0.2)
            if self._connection is not None and not _closed(self._connection):
                backoff = 0.2
                continue
            self._ready.clear()
            telemetry.log.warning("broker connection lost, connecting again", purpose=self._purpose)
            await asyncio.sleep(backoff * random.uniform(0.5, 1.5))
            backoff = min(backoff * 2, 5.0)
            with suppress(BusUnavailable, TimeoutError):
                await self._connect()
                telemetry.log.info("broker connection is back", purpose=self._purpose)

    async def open_channel(self, **options: Any) -> AbstractChannel:
        await self._ready.wait()
        assert self._connection is not None
        async with _lost_connections():
            channel: AbstractChannel = self._connection.channel(
                publisher_confirms=True, on_return_raises=True, **options
            )
            await channel.initialize()
        return channel

    async def publisher(self) -> aiormq.Channel:
        """The publishing channel, opened anew if the last one was closed."""
        await self._ready.wait()
        async with self._opening:
            if self._publisher is None or self._publisher.is_closed:
                self._publisher = await self.open_channel()
        return await _underlay(self._publisher)


class RabbitDelivery:
    """See chassis.bus.Delivery."""

    __slots__ = ("_message", "parcel", "queue")

    def __init__(self, message: AbstractIncomingMessage, queue: str) -> None:
        self._message, self.queue = message, queue
        self.parcel = Parcel(
            message.exchange or "",
            message.routing_key or "",
            message.body,
            message.message_id,
            message.type,
            message.app_id,
            message.correlation_id,
            message.headers,
            message.content_type,
            message.user_id,
        )

    async def ack(self) -> None:
        await _quietly(self._message.ack)

    async def requeue(self) -> None:
        await _quietly(self._message.reject, requeue=True)


async def _quietly(settle: Callable[..., Awaitable[None]], **how: bool) -> None:
    """Settling on a lost channel is no failure: the message comes again, and is known by its id."""
    with suppress(BusUnavailable, aiormq.exceptions.AMQPError, aio_pika.exceptions.MessageProcessError):
        async with _lost_connections():
            await settle(**how)


class RabbitSubscription:
    """See chassis.bus.Subscription. A watchdog asks the broker every few seconds whether we are its consumer."""

    def __init__(self, link: _Link, queue: str, prefetch: int, receive: Receive, watch_s: float) -> None:
        self._link, self._queue, self._prefetch, self._receive = link, queue, prefetch, receive
        self._watch_s = watch_s
        self._channel: AbstractChannel | None = None
        self._tag: str | None = None
        self._paused = False
        self._lock = asyncio.Lock()
        self._watchdog: asyncio.Task[None] | None = None

    @property
    def alive(self) -> bool:
        return self._paused or (self._link.up and self._tag is not None)

    async def start(self) -> None:
        async with asyncio.timeout(CONNECT_S_MAX):
            await self._consume()
        self._watchdog = asyncio.create_task(self._watch(), name=f"watch {self._queue}")

    async def stop(self) -> None:
        if self._watchdog is not None:
            self._watchdog.cancel()
            await asyncio.wait([self._watchdog])
        await self.pause()

    async def pause(self) -> None:
        async with self._lock:
            self._paused = True
            if self._channel is not None and self._tag is not None and not self._channel.is_closed:
                with suppress(BusUnavailable, aiormq.exceptions.AMQPError):
                    async with _lost_connections():
                        underlay = await self._channel.get_underlay_channel()
                        await underlay.basic_cancel(self._tag, timeout=3)
            self._tag = None

    async def resume(self) -> None:
        async with self._lock:
            self._paused = False
        with suppress(BusUnavailable, QueueMissing, TimeoutError):
            async with asyncio.timeout(CONNECT_S_MAX):
                await self._consume()

    async def _consume(self) -> None:
        async with self._lock, _lost_connections():
            if self._paused or self._tag is not None:
                return
            if self._channel is None or self._channel.is_closed:
                self._channel = await self._link.open_channel()
                await self._channel.set_qos(prefetch_count=self._prefetch)
            try:
                queue = await self._channel.get_queue(self._queue, ensure=True)  # passive
            except aiormq.exceptions.ChannelNotFoundEntity:
                raise QueueMissing(f"queue {self._queue!r} does not exist; run `journey topology apply`") from None
            self._tag = await queue.consume(self._on_message)

    async def _on_message(self, message: AbstractIncomingMessage) -> None:
        await self._receive(RabbitDelivery(message, self._queue))

    async def _watch(self) -> None:
        while True:
            lost = await self._lost()
            if lost:
                self._tag = None
                with suppress(BusUnavailable, TimeoutError):
                    try:
                        async with asyncio.timeout(CONNECT_S_MAX):
                            await self._consume()
                    except (QueueMissing, aiormq.exceptions.AMQPError) as error:
                        telemetry.log.error("cannot consume", queue=self._queue, error=str(error))
            await asyncio.sleep(self._watch_s if not lost else min(self._watch_s, 1.0))

    async def _lost(self) -> bool:
        if self._paused:
            return False
        if self._channel is None or self._channel.is_closed or self._tag is None:
            return True
        try:
            async with _lost_connections(), asyncio.timeout(CONNECT_S_MAX):
                return self._tag not in (await _underlay(self._channel)).consumers
        except (BusUnavailable, TimeoutError, aiormq.exceptions.AMQPError):
            return True


async def _underlay(channel: AbstractChannel) -> aiormq.Channel:
    """aio-pika's typing names an interface that lacks what we need of its one implementation."""
    underlay = await channel.get_underlay_channel()
    assert isinstance(underlay, aiormq.Channel)
    return underlay


def _closed(connection: AbstractConnection) -> bool:
    transport = connection.transport
    return bool(connection.is_closed or transport is None or transport.connection.is_closed)


@asynccontextmanager
async def _lost_connections() -> AsyncIterator[None]:
    """aiormq shows a dead connection as CancelledError though nobody cancelled us; tell the two apart."""
    try:
        yield
    except asyncio.CancelledError:
        task = asyncio.current_task()
        if task is not None and task.cancelling() == 0:
            raise BusUnavailable("the connection died") from None
        raise
    except (
        aiormq.exceptions.AMQPConnectionError,
        aiormq.exceptions.ChannelInvalidStateError,
        aiormq.exceptions.ChannelClosed,
        ConnectionError,
        OSError,
    ) as error:
        raise BusUnavailable(f"{type(error).__name__}: {error}") from error
