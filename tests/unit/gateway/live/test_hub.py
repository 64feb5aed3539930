"""The hub notifies subscriptions about changed timelines, and the stream quota limits their number."""

import asyncio
from collections.abc import AsyncIterator, Collection

import pytest

from chassis.store.protocol import Loaded, StoreRefused, StoreUnavailable
from gateway.live import hub as hub_module
from gateway.live.hub import Hub
from gateway.live.sse import StreamQuota, parse_last_event_id
from tests.support.eventually import until
from tests.support.order_outcomes import ORDER, OUTCOMES
from tests.support.shops.gateway import GatewayFixture
from tests.support.timeline_fixtures import store_timeline

WAIT_S_MAX = 30.0


@pytest.fixture
async def gateway() -> AsyncIterator[GatewayFixture]:
    gateway = GatewayFixture()  # only its database is needed
    yield gateway
    await gateway.deps.close()


def test_unused_stream_quotas_are_removed() -> None:
    quota = StreamQuota()
    quota.acquire(ORDER, 1)()
    assert quota.open_streams(ORDER) == 0
    assert not quota._open


async def test_without_subscriptions_nothing_is_polled(gateway: GatewayFixture) -> None:
    hub = Hub(gateway.store, asyncio.Event(), poll_s=0.01)
    async with hub.subscribe(ORDER) as subscription:
        assert await subscription.wait_for_update(0.05) is None, "the order does not exist yet"
        await store_timeline(gateway, OUTCOMES["paying"])
        assert await subscription.wait_for_update(WAIT_S_MAX) is not None
        assert await subscription.wait_for_update(0.05) is None, "nothing has changed"
    await until(lambda: hub.idle, within_s=WAIT_S_MAX)


async def test_a_slow_reader_gets_the_newest_and_holds_no_queue(gateway: GatewayFixture) -> None:
    hub = Hub(gateway.store, asyncio.Event(), poll_s=0.01)
    async with hub.subscribe(ORDER) as subscription:
        for version, way in enumerate(("placed", "paying", "confirmed"), start=1):
            newest = await store_timeline(gateway, OUTCOMES[way])
            await until(lambda: hub._versions.get(str(ORDER)) == version, within_s=WAIT_S_MAX)  # noqa: B023  # awaited within the same iteration
        assert await subscription.wait_for_update(WAIT_S_MAX) == newest
        assert await subscription.wait_for_update(0.05) is None


async def test_every_subscription_of_an_order_is_notified(gateway: GatewayFixture) -> None:
    await store_timeline(gateway, OUTCOMES["paying"])
    hub = Hub(gateway.store, asyncio.Event(), poll_s=0.01)
    async with hub.subscribe(ORDER) as one:
        assert await one.wait_for_update(WAIT_S_MAX) is not None
        async with hub.subscribe(ORDER) as other:
            assert await other.wait_for_update(WAIT_S_MAX) is not None


async def test_a_query_that_the_database_refuses_is_repeated(
    gateway: GatewayFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hub_module, "STORE_RETRY_S", 0.01)
    await store_timeline(gateway, OUTCOMES["paying"])
    load = gateway.store.load
    errors: list[Exception] = [StoreRefused("not authorized"), StoreUnavailable("no primary")]

    async def refuse(kind: str, keys: Collection[str]) -> dict[str, Loaded]:
        if errors:
            raise errors.pop()
        return await load(kind, keys)

    monkeypatch.setattr(gateway.store, "load", refuse)
    hub = Hub(gateway.store, asyncio.Event(), poll_s=0.01)
    async with hub.subscribe(ORDER) as subscription:
        assert await subscription.wait_for_update(WAIT_S_MAX) is not None and not errors


async def test_a_bug_in_polling_ends_the_streams(
    gateway: GatewayFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def buggy(kind: str, keys: Collection[str]) -> dict[str, Loaded]:
        raise ZeroDivisionError

    monkeypatch.setattr(gateway.store, "load", buggy)
    hub = Hub(gateway.store, asyncio.Event(), poll_s=0.01)
    async with hub.subscribe(ORDER) as subscription:
        await until(lambda: subscription.ended, within_s=WAIT_S_MAX)


def test_a_last_event_id_is_a_plain_number() -> None:
    assert [parse_last_event_id(given) for given in (None, "", "0", "7", "07", "x", "1.0", "²")] == [
        0,
        0,
        0,
        7,
        7,
        None,
        None,
        None,
    ]
