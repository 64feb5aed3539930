"""TLS to the real broker and the real database: what is accepted, and what is refused by either side."""

import asyncio
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from chassis import tls
from chassis.bus.protocol import BusUnavailable
from chassis.bus.rabbitmq import RabbitBus
from chassis.settings import Settings, load_settings
from chassis.store.mongodb import MongoStore
from chassis.store.mongodb_client import Driver
from chassis.store.protocol import StoreUnavailable
from journey.admin.broker.management import AdminUnavailable, BrokerAdmin
from tests.support.certificates import CertificateFiles, certificate_files
from tests.support.tls_servers import HOST, TlsMongo, TlsRabbit

pytestmark = [pytest.mark.real, pytest.mark.timeout(400)]

ADDRESS = "127.0.0.1"  # not in the certificate
DRIVERS: tuple[Driver, ...] = ("motor", "pymongo")


@dataclass(frozen=True)
class Servers:
    """`files`: the certificate of both, and the authority. `stranger`: another authority."""

    mongo: TlsMongo
    rabbit: TlsRabbit
    files: CertificateFiles
    stranger: Path


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Servers]:
    home = tmp_path_factory.mktemp("tls")
    files = certificate_files(home / "certificates", hosts=(HOST,))
    stranger = certificate_files(home / "stranger").ca
    started = Servers(TlsMongo(home, files), TlsRabbit(home, files), files, stranger)

    async def start() -> None:
        await asyncio.gather(started.mongo.start(quiet), started.rabbit.start(quiet))

    async def stop() -> None:
        await started.mongo.kill()
        await started.rabbit.stop()

    try:
        asyncio.run(start())
        yield started
    finally:
        asyncio.run(stop())


def quiet(_text: str) -> None:
    pass


async def stores(url: str, driver: Driver, *, cause: str = "") -> bool:
    """Whether a service with this URL works; it reports the database as unavailable otherwise.

    `cause`: what the report must name.
    """
    store = MongoStore(url, "tls", driver)
    try:
        await store.start({"orders": ()})
        await store.find("orders")
    except StoreUnavailable as unavailable:
        assert cause in str(unavailable)
        return False
    finally:
        await store.stop()
    return True


async def connects(url: str, *, cause: str = "") -> bool:
    """Like `stores`, for the broker."""
    bus = RabbitBus(url)
    try:
        await bus.start()
        await bus.ping()
    except BusUnavailable as unavailable:
        assert cause in str(unavailable)
        return False
    finally:
        await bus.stop()
    return True


@pytest.mark.parametrize("driver", DRIVERS)
async def test_the_database_is_used_only_with_a_good_certificate(servers: Servers, driver: Driver) -> None:
    mongo, ca = servers.mongo, servers.files.ca
    good, by_another_name, of_a_stranger = await asyncio.gather(
        stores(mongo.url_at(HOST, ca), driver),
        stores(mongo.url_at(ADDRESS, ca), driver, cause="not valid for '127.0.0.1'"),
        stores(mongo.url_at(HOST, servers.stranger), driver, cause="certificate is refused"),
    )
    assert (good, by_another_name, of_a_stranger) == (True, False, False)


@pytest.mark.parametrize("driver", DRIVERS)
async def test_the_database_refuses_connections_without_tls(servers: Servers, driver: Driver) -> None:
    assert not await stores(servers.mongo.url_at(HOST, None), driver)


async def test_an_expired_certificate_of_the_database_is_refused(servers: Servers, tmp_path: Path) -> None:
    mongo, good = servers.mongo, certificate_files(tmp_path / "good", hosts=(HOST,))
    own = servers.files.both.read_bytes()
    try:
        await mongo.present(good.both)
        assert [await stores(mongo.url_at(HOST, good.ca), driver) for driver in DRIVERS] == [True, True]
        ca = await mongo.present_expired(tmp_path)
        url, cause = mongo.url_at(HOST, ca), "certificate has expired"
        assert [await stores(url, driver, cause=cause) for driver in DRIVERS] == [False, False]
    finally:
        (tmp_path / "own").write_bytes(own)
        await mongo.present(tmp_path / "own")
    assert await stores(mongo.url_at(HOST, servers.files.ca), "motor"), "that of the other tests again"


async def test_the_broker_is_used_only_with_a_good_certificate(servers: Servers) -> None:
    rabbit, ca = servers.rabbit, servers.files.ca
    assert await connects(rabbit.amqp_url_at(HOST, ca))
    assert not await connects(rabbit.amqp_url_at(ADDRESS, ca)), "another host name"
    assert not await connects(rabbit.amqp_url_at(HOST, servers.stranger)), "an unknown authority"


async def test_the_broker_refuses_connections_without_tls(servers: Servers) -> None:
    assert not await connects(servers.rabbit.amqp_url_at(HOST, None))


async def test_an_expired_certificate_of_the_broker_is_refused(servers: Servers, tmp_path: Path) -> None:
    rabbit, own = servers.rabbit, copied(servers.files, tmp_path / "own")
    good = certificate_files(tmp_path / "good", hosts=(HOST,))
    expired = certificate_files(tmp_path / "expired", "expired", hosts=(HOST,))
    try:
        await rabbit.present(good)
        assert await connects(rabbit.amqp_url_at(HOST, good.ca))
        await rabbit.present(expired)
        assert not await connects(rabbit.amqp_url_at(HOST, expired.ca), cause="certificate has expired")
        async with BrokerAdmin(rabbit.management_url, tls.client_context(expired.ca)) as admin:
            with pytest.raises(AdminUnavailable):
                await admin.ask("GET", "whoami")
    finally:
        await rabbit.present(own)
    assert await connects(rabbit.amqp_url_at(HOST, servers.files.ca)), "that of the other tests again"


def copied(files: CertificateFiles, directory: Path) -> CertificateFiles:
    """The same certificate in other files."""
    directory.mkdir()
    names = (files.ca, files.certificate, files.key, files.both)
    return CertificateFiles(*(Path(shutil.copy(file, directory)) for file in names))


async def test_the_settings_name_the_authority_for_both(servers: Servers) -> None:
    """As a service reads them: TLS_CA_FILE instead of an option in each URL."""
    url = servers.mongo.url_at(HOST, servers.files.ca).partition("&tlsCAFile=")[0]
    for ca, accepted in ((servers.files.ca, True), (servers.stranger, False)):
        settings: Settings = load_settings(
            Settings,
            amqp_url=servers.rabbit.amqp_url_at(HOST, ca).partition("?")[0],
            mongo_url=url,
            tls_ca_file=ca,
        )
        assert await stores(settings.database_url(), "motor") is accepted
        assert await connects(settings.broker_url()) is accepted


async def test_the_management_api_is_used_only_with_a_good_certificate(servers: Servers) -> None:
    rabbit = servers.rabbit
    async with BrokerAdmin(rabbit.management_url, tls.client_context(servers.files.ca)) as admin:
        assert (await admin.ask("GET", "whoami"))["name"] == "operator"
    other_name = rabbit.management_url.replace(f"@{HOST}", f"@{ADDRESS}")
    for url, ca in ((rabbit.management_url, servers.stranger), (other_name, servers.files.ca)):
        async with BrokerAdmin(url, tls.client_context(ca)) as admin:
            with pytest.raises(AdminUnavailable):
                await admin.ask("GET", "whoami")
