"""Reads the dead letters of every service without removing them, or locks them one by one to act on them.

A service that dead-letters a message adds headers: reason, time and origin queue. Messages that the broker
dead-letters (a consumer died repeatedly, a bounded queue was full) carry the broker's x-death header instead.
"""

from collections.abc import AsyncGenerator, AsyncIterator, Callable, Collection, Iterable
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass
from urllib.parse import urlsplit

import aiormq
from aiormq.exceptions import ChannelClosed
from pamqp.commands import Basic

from chassis.bus.aiormq_frames import aiormq_connection
from chassis.bus.aiormq_frames.messages import decoded_wire_message
from chassis.bus.protocol import BusUnavailable
from chassis.bus.retry_ladder import DEAD, REJECTED
from journey.admin.dead_letters.dead_letter import DeadLetter, dead_letter_of
from journey.admin.infrastructure_unavailable import InfrastructureUnavailable

HEARTBEAT_S = 20
RESPONSE_S_MAX = 30.0


@dataclass(frozen=True)
class LockedDeadLetter:
    """A dead letter that is locked for this channel until it is removed or given back.

    `left`: the number of unlocked dead letters in the queue.
    """

    dead_letter: DeadLetter
    tag: int
    left: int


class DeadQueue:
    """A dead-letter queue, on its own channel. Dead letters that are not removed return to the queue."""

    def __init__(self, channel: aiormq.Channel, queue: str) -> None:
        self._channel = channel
        self._queue = queue

    async def take(self) -> LockedDeadLetter | None:
        """Lock the next dead letter; None if there is no unlocked one."""
        try:
            async with aiormq_connection.broker_call(RESPONSE_S_MAX):
                message = await self._channel.basic_get(self._queue)
        except ChannelClosed as error:
            raise InfrastructureUnavailable(
                f"queue {self._queue}: {error}", "run `journey topology apply`"
            ) from None
        if not isinstance(message.delivery, Basic.GetOk):
            return None
        wire_message = decoded_wire_message(message.delivery, message.header, message.body)
        dead_letter = dead_letter_of(self._queue.partition(".")[0], wire_message)
        return LockedDeadLetter(dead_letter, message.delivery_tag or 0, message.delivery.message_count or 0)

    async def remove(self, held: Collection[LockedDeadLetter]) -> None:
        for each in held:
            async with aiormq_connection.broker_call(RESPONSE_S_MAX):
                await self._channel.basic_ack(each.tag)

    async def give_back(self) -> None:
        """Requeue all locked dead letters.

        Closing the channel would too, but some brokers count that as a failure.
        """
        async with aiormq_connection.broker_call(RESPONSE_S_MAX):
            await self._channel.basic_nack(0, multiple=True, requeue=True)


@asynccontextmanager
async def connected(amqp_url: str) -> AsyncIterator[aiormq_connection.Connection]:
    """A connection to the broker.

    Raises InfrastructureUnavailable if the broker is down or the connection breaks.
    """
    connection = aiormq_connection.Connection(amqp_url, "dead letters", HEARTBEAT_S)
    try:
        async with aiormq_connection.broker_call(aiormq_connection.CONNECT_S_MAX):
            await connection.open()
        yield connection
    except BusUnavailable as error:
        address = urlsplit(amqp_url)
        raise InfrastructureUnavailable(
            f"the broker at {address.hostname}:{address.port or 5672} does not respond: {error}",
            "check that it is running (`journey up`), then retry; no message is lost",
        ) from None
    finally:
        await aiormq_connection.best_effort(connection.close())


@asynccontextmanager
async def dead_queue(connection: aiormq_connection.Connection, queue: str) -> AsyncIterator[DeadQueue]:
    """Lock dead letters of one queue.

    Those not removed return to the queue at the end, also if the process is killed.
    """
    async with aiormq_connection.broker_call(RESPONSE_S_MAX):
        channel = await connection.channel()
    held = DeadQueue(channel, queue)
    try:
        yield held
    finally:
        if not channel.is_closed:
            await aiormq_connection.best_effort(held.give_back())
            await aiormq_connection.best_effort(channel.close())


def queues_of(services: Iterable[str]) -> list[str]:
    return [f"{service}.{name}" for service in services for name in (DEAD, REJECTED)]


async def each(amqp_url: str, queues: Iterable[str]) -> AsyncGenerator[DeadLetter, None]:
    """Every dead letter of these queues, one queue after the other, with one of them in memory at a time.

    They stay in their queues. Those of a queue are locked until all are read, so other readers see fewer.
    """
    async with connected(amqp_url) as connection:
        for name in queues:
            async with dead_queue(connection, name) as queue:
                while held := await queue.take():
                    yield held.dead_letter


async def read(
    amqp_url: str, services: Iterable[str], is_wanted: Callable[[DeadLetter], bool] = lambda dead_letter: True
) -> list[DeadLetter]:
    """The matching dead letters of these services, oldest first."""
    async with aclosing(each(amqp_url, queues_of(services))) as dead_letters:
        return sorted(
            [dead_letter async for dead_letter in dead_letters if is_wanted(dead_letter)],
            key=DeadLetter.sort_key,
        )
