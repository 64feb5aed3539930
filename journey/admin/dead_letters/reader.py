"""The dead letters of every service: looked at without being used up, or held one by one to be acted on.

A service that gives a message up writes into its headers why, since when and from which queue. What the broker itself
gave up (a consumer died over it again and again, a bounded queue was full) carries the broker's own words instead.
"""

from collections.abc import AsyncGenerator, AsyncIterator, Callable, Collection, Iterable
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass
from urllib.parse import urlsplit

import aiormq
from aiormq.exceptions import ChannelClosed
from pamqp.commands import Basic

from chassis.bus import aiormq_connection
from chassis.bus.aiormq_frames import parcel_of
from chassis.bus.protocol import BusUnavailable
from chassis.core.retry import DEAD, REJECTED
from journey.admin.dead_letters.dead_letter import DeadLetter, dead_letter_of
from journey.infra.model import InfrastructureUnavailable

HEARTBEAT_S = 20
ANSWER_S_MAX = 30.0


@dataclass(frozen=True)
class LockedDeadLetter:
    """A dead letter in our hands: nobody else sees it until it is removed or given back. `left`: how many more the
    queue holds that nobody holds."""

    letter: DeadLetter
    tag: int
    left: int


class DeadQueue:
    """A queue of dead letters, on a channel of its own. What is not removed is back there in the end."""

    def __init__(self, channel: aiormq.Channel, queue: str) -> None:
        self._channel, self._queue = channel, queue

    async def take(self) -> LockedDeadLetter | None:
        """The next letter that nobody holds; None when there is none."""
        try:
            async with aiormq_connection.broker_call(ANSWER_S_MAX):
                message = await self._channel.basic_get(self._queue)
        except ChannelClosed as error:
            raise InfrastructureUnavailable(f"queue {self._queue}: {error}", "run `journey topology apply`") from None
        if not isinstance(message.delivery, Basic.GetOk):
            return None
        wire_message = parcel_of(message.delivery, message.header, message.body)
        letter = dead_letter_of(self._queue.partition(".")[0], wire_message)
        return LockedDeadLetter(letter, message.delivery_tag or 0, message.delivery.message_count or 0)

    async def remove(self, held: Collection[LockedDeadLetter]) -> None:
        for each in held:
            async with aiormq_connection.broker_call(ANSWER_S_MAX):
                await self._channel.basic_ack(each.tag)

    async def give_back(self) -> None:
        """All that is still held. Closing would do it too, but some brokers count that as a failed delivery."""
        async with aiormq_connection.broker_call(ANSWER_S_MAX):
            await self._channel.basic_nack(0, multiple=True, requeue=True)


@asynccontextmanager
async def connected(amqp_url: str) -> AsyncIterator[aiormq_connection.Connection]:
    """A connection to the broker; raises InfrastructureUnavailable with the remedy when it is away or goes away."""
    connection = aiormq_connection.Connection(amqp_url, "dead letters", HEARTBEAT_S)
    try:
        async with aiormq_connection.broker_call(aiormq_connection.CONNECT_S_MAX):
            await connection.open()
        yield connection
    except BusUnavailable as error:
        address = urlsplit(amqp_url)
        raise InfrastructureUnavailable(
            f"the broker at {address.hostname}:{address.port or 5672} does not answer: {error}",
            "no message is lost; see that it runs (`journey up`), then try again",
        ) from None
    finally:
        await aiormq_connection.best_effort(connection.close())


@asynccontextmanager
async def dead_queue(connection: aiormq_connection.Connection, queue: str) -> AsyncIterator[DeadQueue]:
    """Hold letters of one queue; what was not removed goes back at the end, and also when we are killed."""
    async with aiormq_connection.broker_call(ANSWER_S_MAX):
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
    """Every dead letter of these queues, one queue after the other, with one letter in memory at a time.

    They stay where they are. The reader holds those of a queue until it has read all of it: others may see fewer.
    """
    async with connected(amqp_url) as connection:
        for name in queues:
            async with dead_queue(connection, name) as queue:
                while held := await queue.take():
                    yield held.letter


async def read(
    amqp_url: str, services: Iterable[str], is_wanted: Callable[[DeadLetter], bool] = lambda letter: True
) -> list[DeadLetter]:
    """The wanted dead letters of these services in memory, the oldest first."""
    async with aclosing(each(amqp_url, queues_of(services))) as letters:
        return sorted([letter async for letter in letters if is_wanted(letter)], key=DeadLetter.sort_key)
