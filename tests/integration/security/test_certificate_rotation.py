"""Stores, shared counters and buses follow new certificate authorities of the real servers."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from pymongo.errors import PyMongoError
from structlog.testing import CapturingLogger

from chassis import telemetry
from chassis.store.mongodb import MongoStore
from chassis.store.mongodb_client import Driver
from chassis.store.protocol import StoreUnavailable
from gateway.http.rate_limit import SharedCounters
from tests.integration.security.test_tls_servers import DRIVERS, Servers, connects, copied, servers
from tests.support.certificates import CertificateFiles, certificate_files, replace_file
from tests.support.eventually import until
from tests.support.tls_servers import HOST

__all__ = ["servers"]

pytestmark = [pytest.mark.real, pytest.mark.timeout(400)]

AT_ONCE = 20  # more than the connections that are open, so that the driver opens further ones
FOLLOWED = "using the new database certificate authorities"


@dataclass(frozen=True)
class Change:
    """`trusted`: the file of the authorities, which is changed. `old`, `new`: of two authorities."""

    servers: Servers
    trusted: Path
    old: CertificateFiles
    new: CertificateFiles

    def trust(self, *issued: CertificateFiles) -> None:
        replace_file(self.trusted, b"".join(files.ca.read_bytes() for files in issued))


@pytest.fixture
async def change(servers: Servers, tmp_path: Path) -> AsyncIterator[Change]:
    old = copied(servers.files, tmp_path / "old")
    made = Change(servers, tmp_path / "trusted.pem", old, certificate_files(tmp_path / "new", hosts=(HOST,)))
    made.trust(old)
    try:
        yield made
    finally:
        await servers.mongo.present(old.both)
        await servers.rabbit.present(old)


@asynccontextmanager
async def started_store(change: Change, driver: Driver) -> AsyncIterator[MongoStore]:
    """A store whose URL names the file of the authorities."""
    store = MongoStore(lambda: change.servers.mongo.url_at(HOST, change.trusted), "tls", driver)
    try:
        await store.start({"orders": ()})
        yield store
    finally:
        await store.stop()


async def reads(store: MongoStore) -> bool:
    """Whether a store reads with many connections at once, of which most are new."""
    found = await asyncio.gather(*(store.find("orders") for _ in range(AT_ONCE)), return_exceptions=True)
    refused = [each for each in found if isinstance(each, BaseException)]
    assert {type(each) for each in refused} <= {StoreUnavailable}
    return not refused


async def followed(store: MongoStore) -> bool:
    """Whether the next probe of the store changes over to the authorities in the file."""
    log = CapturingLogger()
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(telemetry, "log", log)
        await store.ping()
    return (FOLLOWED,) in [call.args for call in log.calls]


@pytest.mark.parametrize("driver", DRIVERS)
async def test_a_store_follows_its_authorities(change: Change, driver: Driver) -> None:
    mongo = change.servers.mongo
    async with started_store(change, driver) as store:
        change.trust(change.old, change.new)
        assert await followed(store)
        await mongo.present(change.new.both)
        assert await reads(store)
        change.trust(change.new)
        assert await followed(store)
        await mongo.present(change.old.both)
        assert not await reads(store), "the old authority is trusted no longer"


@pytest.mark.parametrize("driver", DRIVERS)
async def test_a_store_stays_with_authorities_that_the_server_fits(change: Change, driver: Driver) -> None:
    """The file changed too early, or is unfit."""
    async with started_store(change, driver) as store:
        change.trust(change.new)
        assert not await followed(store)
        assert await reads(store)
        change.trust()
        assert not await followed(store)
        assert await reads(store)


@pytest.mark.parametrize("driver", DRIVERS)
async def test_a_store_without_probes_follows_its_authorities(change: Change, driver: Driver) -> None:
    """Such as that of the simulated card provider."""
    async with started_store(change, driver) as store:
        change.trust(change.new)
        await change.servers.mongo.present(change.new.both)
        assert not await reads(store), "new connections are refused"
        assert await until(lambda: reads(store))


async def test_the_shared_counters_follow_their_authorities(change: Change) -> None:
    mongo = change.servers.mongo
    counters = SharedCounters(lambda: mongo.url_at(HOST, change.trusted), "tls", timeout_s=10)
    try:
        assert await counters.storage.incr("user/ada", 60) == 1
        change.trust()
        with pytest.raises((OSError, PyMongoError)):
            await counters.renew()
        assert await counters.storage.incr("user/ada", 60) == 2
        change.trust(change.new)
        await mongo.present(change.new.both)
        await counters.renew()
        assert await counters.storage.incr("user/ada", 60) == 3
    finally:
        await counters.close()


async def test_connections_to_the_broker_follow_their_authorities(change: Change) -> None:
    rabbit = change.servers.rabbit
    url = rabbit.amqp_url_at(HOST, change.trusted)
    assert await connects(url)
    change.trust(change.old, change.new)
    await rabbit.present(change.new)
    assert await connects(url)
    change.trust(change.old)
    assert not await connects(url)
