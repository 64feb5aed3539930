"""A bus that passes each call on to another one; tests override what they observe or change."""

from collections.abc import Sequence

from chassis.bus.protocol import Bus, Receive, Subscription
from chassis.messaging.envelope import WireMessage


class ForwardingBus:
    """`bus`: a started one."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus

    @property
    def ready(self) -> bool:
        return self._bus.ready

    async def start(self) -> None:
        """Already started."""

    async def stop(self) -> None:
        await self._bus.stop()

    async def ping(self) -> None:
        await self._bus.ping()

    async def publish(self, wire_messages: Sequence[WireMessage]) -> list[Exception | None]:
        return await self._bus.publish(wire_messages)

    async def subscribe(self, queue: str, prefetch: int, receive: Receive) -> Subscription:
        return await self._bus.subscribe(queue, prefetch, receive)
