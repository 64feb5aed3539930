"""The readiness probes on a real broker and a real database, both behind a proxy that can freeze."""

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta

import pytest

from chassis.bus.protocol import BusUnavailable
from chassis.bus.rabbitmq import RabbitBus
from chassis.health import Health
from chassis.store.mongodb import MongoStore
from chassis.store.protocol import StoreUnavailable
from journey.devenv.infra.model import Infrastructure
from tests.support.databases import through
from tests.support.eventually import until
from tests.support.infrastructure import VirtualHost
from tests.support.proxy import Proxy

pytestmark = pytest.mark.real


async def test_the_database_returns_its_time(
    real_infrastructure: Infrastructure, database_prefix: str
) -> None:
    store = MongoStore(real_infrastructure.mongo_url, f"{database_prefix}health")
    await store.start({})
    try:
        reported = await store.ping()
        assert reported is not None and abs(reported - datetime.now(UTC)) < timedelta(hours=1)
    finally:
        await store.stop()


async def test_a_database_outage_fails_the_probe_until_it_ends(
    real_infrastructure: Infrastructure, database_prefix: str
) -> None:
    async with Proxy(real_infrastructure.mongo_url, 27017) as proxy:
        address = through(proxy, real_infrastructure.mongo_url)
        store = MongoStore(address, f"{database_prefix}health", timeout_ms=2_000)
        await store.start({})
        try:
            await store.ping()
            await proxy.leave()
            with pytest.raises(StoreUnavailable):
                await store.ping()
            await proxy.come_back()
            await until(lambda: responses(store.ping))
        finally:
            await store.stop()


async def responses(ping: Callable[[], Awaitable[object]]) -> bool:
    try:
        await ping()
    except (BusUnavailable, StoreUnavailable):
        return False
    return True


async def test_a_silent_broker_fails_the_probe_long_before_its_heartbeat(vhost: VirtualHost) -> None:
    async with Proxy(vhost.amqp_url, 5672) as proxy:
        bus = RabbitBus(vhost.url("order_svc", proxy.port), response_s_max=1.0)
        await bus.start()
        try:
            for _ in range(3):
                await bus.ping()
            proxy.freeze()
            with pytest.raises(BusUnavailable):
                await bus.ping()
            proxy.thaw()
            await until(lambda: responses(bus.ping))
        finally:
            await bus.stop()


async def test_both_probes_of_a_healthy_service_find_nothing(
    real_infrastructure: Infrastructure, vhost: VirtualHost, database_prefix: str
) -> None:
    store = MongoStore(real_infrastructure.mongo_url, f"{database_prefix}health")
    bus = RabbitBus(vhost.url("order_svc"))
    await store.start({})
    await bus.start()
    try:
        health = Health(store, bus, lambda: datetime.now(UTC))
        for _ in range(3):
            await health.probe()
            assert health.problem == ""
    finally:
        await bus.stop()
        await store.stop()
