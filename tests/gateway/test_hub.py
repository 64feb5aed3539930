"""How an instance hears of news while somebody watches, and how many may."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from gateway.live import Hub
from gateway.stream import Seats, last_seen
from tests.gateway.endings import ORDER, WAYS
from tests.gateway.house import GatewayHouse
from tests.gateway.written import known
from tests.until import until

PATIENCE_S = 30.0


@pytest.fixture
async def gateway() -> AsyncIterator[GatewayHouse]:
    house = GatewayHouse()  # its database will do
    yield house
    await house.house.close()


def test_seats_are_forgotten_when_they_are_empty() -> None:
    seats = Seats()
    seats.take(ORDER, 1)()
    assert seats.taken(ORDER) == 0
    assert not seats._taken


async def test_nobody_looks_while_nobody_watches(gateway: GatewayHouse) -> None:
    hub = Hub(gateway.store, asyncio.Event(), look_s=0.01)
    async with hub.watch(ORDER) as watch:
        assert await watch.news(0.05) is None, "there is no such order yet"
        await known(gateway, WAYS["paying"])
        assert await watch.news(PATIENCE_S) is not None
        assert await watch.news(0.05) is None, "nothing is new"
    await until(lambda: hub.idle, within_s=PATIENCE_S)


async def test_a_slow_reader_gets_the_newest_and_holds_no_queue(gateway: GatewayHouse) -> None:
    hub = Hub(gateway.store, asyncio.Event(), look_s=0.01)
    async with hub.watch(ORDER) as watch:
        for version, way in enumerate(("placed", "paying", "confirmed"), start=1):
            newest = await known(gateway, WAYS[way])
            await until(lambda: hub._versions.get(str(ORDER)) == version, within_s=PATIENCE_S)  # noqa: B023  # it is waited for here
        assert await watch.news(PATIENCE_S) == newest
        assert await watch.news(0.05) is None


async def test_a_second_watcher_of_an_order_is_told_too(gateway: GatewayHouse) -> None:
    await known(gateway, WAYS["paying"])
    hub = Hub(gateway.store, asyncio.Event(), look_s=0.01)
    async with hub.watch(ORDER) as one:
        assert await one.news(PATIENCE_S) is not None
        async with hub.watch(ORDER) as other:
            assert await other.news(PATIENCE_S) is not None


def test_an_id_is_a_plain_number() -> None:
    assert [last_seen(given) for given in (None, "", "0", "7", "07", "x", "1.0", "²")] == [
        0,
        0,
        0,
        7,
        7,
        None,
        None,
        None,
    ]
