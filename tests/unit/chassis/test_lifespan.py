"""A runtime's lifespan: it runs while the store and the bus are connected, around the message path."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from chassis.bus.memory import MemoryBroker, MemoryBus, MemoryStore
from chassis.bus.topology import build
from chassis.runtime import Runtime
from order_svc.service import order_service
from tests.support.eventually import until


class Connections(MemoryStore):
    """Records in `events` when the store connects and disconnects."""

    def __init__(self, events: list[str]) -> None:
        super().__init__()
        self._events = events

    async def start(self, kinds: object) -> None:
        self._events.append("store connected")

    async def stop(self) -> None:
        self._events.append("store disconnected")


def order_runtime(events: list[str], *, fails: bool = False) -> Runtime:
    @asynccontextmanager
    async def lifespan(runtime: Runtime) -> AsyncIterator[None]:
        events.append(f"entered, {runtime.unready()}")
        if fails:
            raise RuntimeError("the port is in use")
        try:
            yield
        finally:
            events.append("left")

    bus = MemoryBus(MemoryBroker(build([order_service()])), "order_svc")
    return Runtime(order_service(), bus, Connections(events), lifespan=lifespan)


@pytest.mark.parametrize("crash", [False, True], ids=["drained", "killed"])
async def test_a_lifespan_is_inside_the_connections_and_around_consuming(crash: bool) -> None:
    events: list[str] = []
    runtime = order_runtime(events)
    await runtime.start()
    await until(lambda: not runtime.unready())
    starting = "starting: not connected to database and broker yet"
    assert events == ["store connected", f"entered, {starting}"]
    await (runtime.kill() if crash else runtime.stop(5))
    assert events[2:] == ["left", "store disconnected"]


async def test_a_service_whose_lifespan_fails_does_not_start() -> None:
    runtime = order_runtime([], fails=True)
    with pytest.raises(RuntimeError, match="port is in use"):
        await runtime.start()
    assert runtime.unready()
    await runtime.kill()
