"""Background tasks fail without an effect on messages, and run again; in virtual time."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import datetime
from itertools import pairwise

import pytest

from chassis import telemetry
from chassis.bus.memory import MemoryBroker, MemoryBus
from chassis.bus.topology import build
from chassis.core.background import PAUSE_S_MAX, keep_running
from chassis.messaging.envelope import wrap
from chassis.runtime import Runtime
from chassis.store.memory import MemoryStore
from chassis.store.protocol import DueAggregate, StoreRefused
from chassis.telemetry import metrics
from contracts import products
from contracts.catalog import CATALOG
from contracts.values import Money
from order_svc.service import order_service
from tests.simulation import virtual_time

NOT_AUTHORISED = StoreRefused("not authorized on orders to execute command")


class FailingStore(MemoryStore):
    """Its query for due deadlines raises `error` while there is one."""

    error: BaseException | None = None
    failed = 0

    async def due(self, kind: str, now: datetime, limit: int) -> dict[str, DueAggregate]:
        if self.error is not None:
            self.failed += 1
            raise self.error
        return await super().due(kind, now, limit)


class Instance:
    def __init__(self) -> None:
        self.broker = MemoryBroker(build([order_service()]))
        self.store = FailingStore()
        self.runtime = Runtime(
            order_service(), MemoryBus(self.broker, "order_svc"), self.store, clock=virtual_time.now
        )

    async def handles_a_message(self, revision: int) -> bool:
        price = products.PriceChanged(
            sku="TEA-1", price=Money(amount_minor=revision, currency="EUR"), revision=revision
        )
        id_ = f"00000000-0000-7000-8000-{revision:012}"
        message = wrap(price, id=id_, source="product_svc", now=virtual_time.now())
        assert not any(await MemoryBus(self.broker, "product_svc").publish([message.wire_message(CATALOG)]))
        await asyncio.sleep(1)
        [stored] = (await self.store.load("prices", ["TEA-1"])).values()
        return stored.state is not None and stored.state["revision"] == revision


def played(story: Callable[[Instance], Awaitable[None]]) -> None:
    async def whole() -> None:
        instance = Instance()
        try:
            await instance.runtime.start()
            await story(instance)
        finally:
            await instance.runtime.kill()

    telemetry.configure("critical", pretty=False)
    try:
        virtual_time.play(whole())
    finally:
        telemetry.configure("info", pretty=False)


@pytest.mark.parametrize(
    "error", [NOT_AUTHORISED, KeyError("deadline_at"), asyncio.CancelledError()], ids=repr
)
def test_a_failing_background_task_does_not_stop_the_service(error: BaseException) -> None:
    async def story(shop: Instance) -> None:
        counted = metrics.BACKGROUND_ERRORS.labels("order_svc", "timers")
        before = counted._value.get()
        shop.store.error = error
        await asyncio.sleep(10 * PAUSE_S_MAX)
        assert not shop.runtime.crashed.done() and not shop.runtime.unready()
        assert await shop.handles_a_message(1)
        assert counted._value.get() - before == shop.store.failed
        assert 8 <= shop.store.failed < 40, "the pauses grow up to one minute"
        assert type(shop.runtime.background_error) is type(error)
        shop.store.error = None
        await asyncio.sleep(2 * PAUSE_S_MAX)
        failed = shop.store.failed
        await asyncio.sleep(10 * PAUSE_S_MAX)
        assert shop.store.failed == failed
        assert await shop.handles_a_message(2)

    played(story)


def test_after_a_long_run_the_pause_is_short() -> None:
    started: list[float] = []

    async def work() -> None:
        started.append(asyncio.get_running_loop().time())
        if len(started) > 6:
            await asyncio.sleep(PAUSE_S_MAX + 1)
        raise KeyError("a bug")

    async def story() -> None:
        task = asyncio.create_task(
            keep_running(work, service="order_svc", task="timers", on_error=lambda error: None)
        )
        await asyncio.sleep(10 * PAUSE_S_MAX)
        task.cancel()
        await asyncio.wait([task])
        assert task.cancelled()

    telemetry.configure("critical", pretty=False)
    virtual_time.play(story())
    telemetry.configure("info", pretty=False)
    pauses = [later - earlier for earlier, later in pairwise(started)]
    assert max(pauses[:2]) < 5 < min(pauses[4:6])
    assert all(pause < PAUSE_S_MAX + 3 for pause in pauses[7:]) and len(pauses) > 8


async def test_work_that_ends_is_not_repeated() -> None:
    runs: list[str] = []

    async def work() -> None:
        runs.append("ran")

    await keep_running(work, service="order_svc", task="timers", on_error=lambda error: None)
    assert runs == ["ran"]
