"""The same faults for both brokers, so that one suite can test both."""

from collections import deque
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Protocol

from chassis.bus.memory import MemoryBroker, MemoryBus
from chassis.bus.protocol import Bus
from chassis.bus.rabbitmq import RabbitBus
from chassis.bus.topology_model import Topology
from journey.admin.registry import shop_topology
from tests.support.infrastructure import DELAY_SCALE, VirtualHost
from tests.support.proxy import Proxy

RESPONSE_S_MAX = 30.0


class Broker(Protocol):
    async def bus(self, user: str) -> Bus:
        """A started bus; stopped after the test."""
        ...

    async def cut(self) -> None:
        """Close all connections at once; returns when the broker has noticed."""
        ...

    async def leave(self) -> None: ...
    async def come_back(self) -> None: ...
    async def delete_queue(self, queue: str) -> None: ...
    async def apply_topology(self) -> None: ...


class InMemory:
    def __init__(self, stack: AsyncExitStack, topology: Topology) -> None:
        self._stack = stack
        self._broker = MemoryBroker(topology, DELAY_SCALE)

    async def bus(self, user: str) -> Bus:
        bus = MemoryBus(self._broker, user)
        await bus.start()
        self._stack.push_async_callback(bus.stop)
        return bus

    async def cut(self) -> None:
        self._broker.cut()

    async def leave(self) -> None:
        self._broker.away = True

    async def come_back(self) -> None:
        self._broker.away = False

    async def delete_queue(self, queue: str) -> None:
        del self._broker.queues[queue]

    async def apply_topology(self) -> None:
        for queue in self._broker.subscriptions:
            self._broker.queues.setdefault(queue, deque())


class RabbitMq:
    def __init__(self, stack: AsyncExitStack, vhost: VirtualHost, proxy: Proxy) -> None:
        self._stack = stack
        self.vhost = vhost
        self.proxy = proxy

    async def bus(self, user: str, heartbeat_s: int = 20) -> RabbitBus:
        url = self.vhost.url(user, self.proxy.port)
        bus = RabbitBus(url, heartbeat_s=heartbeat_s, response_s_max=RESPONSE_S_MAX)
        await bus.start()
        self._stack.push_async_callback(bus.stop)
        return bus

    async def cut(self) -> None:
        self.proxy.cut()

    async def leave(self) -> None:
        await self.proxy.leave()

    async def come_back(self) -> None:
        await self.proxy.come_back()

    async def delete_queue(self, queue: str) -> None:
        async with self.vhost.admin as admin:
            await admin.delete_queue(self.vhost.name, queue)

    async def apply_topology(self) -> None:
        await self.vhost.apply()


@asynccontextmanager
async def in_memory(topology: Topology | None = None) -> AsyncIterator[InMemory]:
    """`topology`: by default the whole shop's."""
    async with AsyncExitStack() as stack:
        yield InMemory(stack, topology or shop_topology())


@asynccontextmanager
async def rabbitmq(vhost: VirtualHost) -> AsyncIterator[RabbitMq]:
    async with Proxy(vhost.amqp_url, 5672) as proxy, AsyncExitStack() as stack:
        yield RabbitMq(stack, vhost, proxy)
