"""Messages that a service dead-letters on a real broker, and where each is afterwards."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import count

import aio_pika

from chassis.bus.rabbitmq import RabbitBus
from chassis.core import retry
from chassis.messaging.envelope import WireMessage
from journey.admin.dead_letters.dead_letter import DeadLetter
from journey.admin.dead_letters.reader import read
from journey.admin.registry import CONSUMING_SERVICES
from tests.support.infrastructure import VirtualHost
from tests.support.recording_consumer import WAIT_S_MAX

SERVICE, INBOX = "inventory_svc", "inventory_svc.events"
NOW = datetime(2031, 5, 6, 7, 8, 9, tzinfo=UTC)


class Scene:
    """One service whose dead letters we create, and the operator."""

    def __init__(self, vhost: VirtualHost, buses: dict[str, RabbitBus]) -> None:
        self.vhost = vhost
        self._buses = buses
        self._now = NOW - timedelta(seconds=1)

    async def bus(self, user: str) -> RabbitBus:
        if user not in self._buses:
            self._buses[user] = RabbitBus(self.vhost.url(user))
            await self._buses[user].start()
        return self._buses[user]

    async def die(
        self, *wire_messages: WireMessage, queue: str = INBOX, sender: str = "order_svc", later_s: float = 1.0
    ) -> None:
        """The owner of the queue dead-letters these messages, `later` after the last ones."""
        service = queue.partition(".")[0]
        self._now += timedelta(seconds=later_s)
        dying = [
            retry.dead_letter(
                replace(wire_message, user_id=sender),
                RuntimeError("a bug"),
                queue=queue,
                service=CONSUMING_SERVICES[service](),
                now=self._now,
                attempt=4,
            )
            for wire_message in wire_messages
        ]
        assert not any(await (await self.bus(service)).publish(dying))

    async def dead_letters(self, *services: str) -> list[DeadLetter]:
        return await read(self.operator, services or [SERVICE])

    @property
    def operator(self) -> str:
        return self.vhost.url("operator")

    async def arrived(self, queue: str = INBOX) -> list[WireMessage]:
        """Empties a queue without consumers."""
        found: list[WireMessage] = []
        async with await aio_pika.connect(self.operator) as connection:
            channel = await connection.channel()
            source = await channel.get_queue(queue, ensure=False)
            while message := await source.get(no_ack=True, fail=False):
                found.append(
                    WireMessage(
                        "", queue, message.body, message.message_id, message.type, message.app_id,
                        message.correlation_id, message.headers, message.content_type, message.user_id,
                    )
                )  # fmt: skip
        return found

    async def settled_down(
        self, wire_messages: Sequence[WireMessage], arrived: Sequence[WireMessage] = ()
    ) -> list[DeadLetter]:
        """All dead letters, once the broker has requeued those of closed connections."""
        wanted = {wire_message.message_id for wire_message in wire_messages} - {
            wire_message.message_id for wire_message in arrived
        }
        found: list[DeadLetter] = []
        end = asyncio.get_running_loop().time() + WAIT_S_MAX
        for look in count(1):
            await asyncio.sleep(0.5)
            found = max(found, await self.dead_letters(), key=len)
            complete = look >= 3 and wanted <= {dead_letter.id for dead_letter in found}
            if complete or asyncio.get_running_loop().time() > end:
                break
        return found


@asynccontextmanager
async def dying_on(vhost: VirtualHost) -> AsyncIterator[Scene]:
    buses: dict[str, RabbitBus] = {}
    try:
        yield Scene(vhost, buses)
    finally:
        for bus in buses.values():
            await bus.stop()


def assert_none_lost(
    wire_messages: Sequence[WireMessage], arrived: Sequence[WireMessage], left: Sequence[DeadLetter]
) -> None:
    there = {wire_message.message_id for wire_message in arrived} | {dead_letter.id for dead_letter in left}
    assert there == {wire_message.message_id for wire_message in wire_messages}
