"""Readiness of an idle service: it probes its database, its broker and its clock by itself."""

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from chassis import telemetry
from chassis.bus.memory import MemoryBroker, MemoryBus
from chassis.bus.topology import build
from chassis.clock import CLOCK_SKEW_MAX
from chassis.health import PROBE_S_MAX, Health
from chassis.runtime import Runtime
from chassis.store.memory import MemoryStore
from order_svc.service import order_service
from tests.simulation import virtual_time

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)


@pytest.fixture(autouse=True)
def quiet() -> Any:
    telemetry.configure("critical", pretty=False)
    yield
    telemetry.configure("info", pretty=False)


class DatedStore(MemoryStore):
    """A database with its own clock, which can also stop responding."""

    def __init__(self) -> None:
        super().__init__()
        self.time: datetime | None = None
        self.silent = asyncio.Event()
        self.pings = 0

    async def ping(self) -> datetime | None:
        self.pings += 1
        if self.silent.is_set():
            await asyncio.get_running_loop().create_future()
        await super().ping()
        return self.time


class Shop:
    def __init__(self) -> None:
        self.broker = MemoryBroker(build([order_service()]))
        self.store = DatedStore()
        self.runtime = Runtime(order_service(), MemoryBus(self.broker, "order_svc"), self.store)
        self.unready: Callable[[], str] = self.runtime.unready

    async def probes(self, count: int) -> None:
        health = self.runtime._health
        wanted = health.probes + count
        while health.probes < wanted:
            assert not self.runtime.crashed.done(), self.runtime.crashed
            await asyncio.sleep(0.1)


def played(story: Callable[[Shop], Any]) -> None:
    async def whole() -> None:
        shop = Shop()
        try:
            await shop.runtime.start()
            assert shop.unready() == ""
            await story(shop)
        finally:
            await shop.runtime.kill()

    virtual_time.play(whole())


def test_an_idle_service_detects_a_database_outage() -> None:
    async def story(shop: Shop) -> None:
        shop.store.away = True
        await shop.probes(2)
        assert "the database does not answer" in shop.unready()
        shop.store.away = False
        await shop.probes(2)
        assert shop.unready() == ""

    played(story)


def test_an_unresponsive_database_is_probed_by_one_request() -> None:
    async def story() -> None:
        store = DatedStore()
        health = Health(
            store, MemoryBus(MemoryBroker(build([order_service()])), "order_svc"), virtual_time.now
        )
        store.silent.set()
        for _ in range(10):
            await health.probe()
            assert f"silent for more than {PROBE_S_MAX:.0f} s" in health.problem
        assert store.pings == 1
        await health.stop()

    virtual_time.play(story())


def test_an_idle_service_detects_a_broker_outage() -> None:
    async def story(shop: Shop) -> None:
        shop.broker.away = True
        await shop.probes(2)
        assert shop.unready()
        shop.broker.away = False
        await shop.probes(2)
        assert shop.unready() == ""

    played(story)


@pytest.mark.parametrize("skew", [HOUR, -HOUR, CLOCK_SKEW_MAX + timedelta(seconds=1)])
async def test_a_wrong_clock_is_reported_with_both_times_and_remedy(skew: timedelta) -> None:
    store = DatedStore()
    health = Health(store, MemoryBus(MemoryBroker(build([order_service()])), "order_svc"), lambda: NOW)
    store.time = NOW + skew
    await health.probe()
    assert (
        NOW.isoformat() in health.problem
        and store.time.isoformat() in health.problem
        and "NTP" in health.problem
    )
    store.time = NOW + CLOCK_SKEW_MAX
    await health.probe()
    assert health.problem == ""


async def test_unexpected_driver_errors_are_reported_and_probing_continues() -> None:
    class Broken(MemoryBus):
        async def ping(self) -> None:
            raise Exception  # as aiormq does when its writer dies during a call

    health = Health(DatedStore(), Broken(MemoryBroker(build([order_service()])), "order_svc"), lambda: NOW)
    await health.probe()
    assert "the broker does not answer" in health.problem


async def test_a_pending_probe_ends_with_the_health_checks() -> None:
    """Otherwise an event loop that closes next would destroy it while it is pending."""

    class Closing(DatedStore):
        async def ping(self) -> datetime | None:
            try:
                return await super().ping()
            finally:
                await asyncio.sleep(0.01)  # as a driver that closes its connection

    store = Closing()
    health = Health(store, MemoryBus(MemoryBroker(build([order_service()])), "order_svc"), lambda: NOW)
    store.silent.set()
    probing = asyncio.create_task(health.probe_forever(every_s=0.0))
    while not store.pings:
        await asyncio.sleep(0)
    probing.cancel()
    await asyncio.wait([probing])
    assert asyncio.all_tasks() == {asyncio.current_task()}
