"""Loads a running journey, ours or the plain one, with the same orders, and measures it from outside."""

import asyncio
import itertools
import statistics
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from uuid import UUID

import aio_pika
import aiormq
import psutil
from aio_pika.abc import AbstractIncomingMessage

from chassis.bus.rabbitmq import RabbitBus
from chassis.clock import utc_now
from chassis.messaging.envelope import wrap
from chassis.messaging.identity import new_id
from contracts import orders
from contracts.catalog import CATALOG, NAMES
from contracts.values import OrderLine

_PUBLISHED_AT_ONCE = 100
_STALL_S_MAX = 30.0


class Stalled(Exception):
    """No order was confirmed for _STALL_S_MAX seconds."""


@dataclass
class Measured:
    """One round. Latency is the time from before publishing PlaceOrder to receiving OrderConfirmed,
    in seconds.
    """

    orders: int = 0
    seconds: float = 0.0
    mails_after: float = 0.0  # seconds from the last confirmation to the last mail
    cpu_seconds: float = 0.0  # of all measured processes, including the mails
    cpu_by_process: dict[str, float] = field(default_factory=dict)  # the same by process, in seconds
    latencies: list[float] = field(default_factory=list)
    memory_mib: dict[str, float] = field(default_factory=dict)

    @property
    def per_second(self) -> float:
        return self.orders / self.seconds

    def percentile(self, share: float) -> float:
        ranked = sorted(self.latencies)
        return ranked[min(len(ranked) - 1, int(share * len(ranked)))]

    @property
    def p50_ms(self) -> float:
        return statistics.median(self.latencies) * 1000

    @property
    def p99_ms(self) -> float:
        return self.percentile(0.99) * 1000


class Load:
    """A client that places orders for existing customers and consumes the confirmations."""

    def __init__(
        self, url: str, skus: Sequence[str], customers: Sequence[UUID], progress: Callable[[int], None]
    ) -> None:
        self._url = url
        self._progress = progress
        self._bus = RabbitBus(url)
        self._skus = itertools.cycle(skus)
        self._customers = itertools.cycle(customers)
        self._began: dict[str, float] = {}
        self._took: list[float] = []
        self._confirmed = asyncio.Event()

    async def __aenter__(self) -> "Load":
        await self._bus.start()
        self._connection = await aio_pika.connect(self._url)
        self._channel = await self._connection.channel()
        await self._channel.set_qos(prefetch_count=2000)
        queue = await self._channel.declare_queue(f"{NAMES.client}.{new_id()}", exclusive=True)
        await queue.bind(
            await self._channel.get_exchange(NAMES.client_events, ensure=False), orders.OrderConfirmed.TYPE
        )
        await queue.consume(self._on_confirmed, no_ack=True)
        return self

    async def __aexit__(self, *_: object) -> None:
        with suppress(aiormq.exceptions.AMQPError, ConnectionError):
            await self._connection.close()
        await self._bus.stop()

    async def saturate(self, count: int, in_flight: int) -> list[float]:
        """Keep `in_flight` orders open until `count` are confirmed."""
        self._took = []
        placed = 0
        while len(self._took) < count:
            room = min(in_flight - (placed - len(self._took)), count - placed)
            while room > 0:
                now = min(room, _PUBLISHED_AT_ONCE)
                await self._place(now)
                placed, room = placed + now, room - now
            await self._some_news()
        return self._took

    async def at_rate(self, per_second: float, seconds: float) -> list[float]:
        """Place orders at a constant rate regardless of the confirmations (open loop), then wait for all."""
        self._took = []
        loop = asyncio.get_running_loop()
        began, count = loop.time(), int(per_second * seconds)
        waiting: list[asyncio.Task[None]] = []
        for number in range(count):
            await asyncio.sleep(max(0.0, began + number / per_second - loop.time()))
            waiting.append(asyncio.create_task(self._place(1)))
        await asyncio.gather(*waiting)
        while len(self._took) < count:
            await self._some_news()
        return self._took

    async def _place(self, count: int) -> None:
        wire_messages = []
        for _ in range(count):
            order_id = new_id()
            lines = tuple(OrderLine(sku=next(self._skus), quantity=1) for _ in range(2))
            command = orders.PlaceOrder(
                order_id=order_id, customer_id=next(self._customers), lines=lines, card_token="tok_visa"
            )
            wire_messages.append(
                wrap(command, id=str(new_id()), source="bench", now=utc_now()).wire_message(CATALOG)
            )
            self._began[str(order_id)] = asyncio.get_running_loop().time()
        errors = [error for error in await self._bus.publish(wire_messages) if error]
        if errors:
            raise Stalled(f"the broker rejects orders: {errors[0]}")

    async def _some_news(self) -> None:
        self._confirmed.clear()
        try:
            async with asyncio.timeout(_STALL_S_MAX):
                await self._confirmed.wait()
        except TimeoutError:
            raise Stalled(f"nothing was confirmed for {_STALL_S_MAX:.0f} s") from None

    async def _on_confirmed(self, message: AbstractIncomingMessage) -> None:
        began = self._began.pop(message.correlation_id or "", None)
        if began is not None:
            self._took.append(asyncio.get_running_loop().time() - began)
            self._progress(len(self._took))
            self._confirmed.set()


async def measure(
    pids: dict[str, int], work: Callable[[], Awaitable[list[float]]], mailed: Callable[[], Awaitable[float]]
) -> Measured:
    """Run the work, then wait for its mails; `mailed` returns the time of the last one.

    Memory is measured when the work ends.
    """
    processes = {name: psutil.Process(pid) for name, pid in pids.items()}
    before = _cpu(processes)
    time = asyncio.get_running_loop().time
    began = time()
    latencies = await work()
    ended = time()
    memory_mib = {name: process.memory_info().rss / 2**20 for name, process in processes.items()}
    mails_ended = await mailed()
    cpu = {name: seconds - before[name] for name, seconds in _cpu(processes).items()}
    return Measured(
        orders=len(latencies),
        seconds=ended - began,
        mails_after=max(0.0, mails_ended - ended),
        cpu_seconds=sum(cpu.values()),
        cpu_by_process=cpu,
        latencies=latencies,
        memory_mib=memory_mib,
    )


def _cpu(processes: dict[str, psutil.Process]) -> dict[str, float]:
    times = {name: process.cpu_times() for name, process in processes.items()}
    return {name: each.user + each.system for name, each in times.items()}
