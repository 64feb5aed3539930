"""Certificates, and then their authority, are replaced in all processes and servers while orders run."""

import ssl
from functools import partial
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import trustme

from chassis.tls import client_context
from journey.admin.endpoints import GATEWAY
from journey.admin.registry import SERVICES
from journey.devenv.shop import register, seed
from tests.support.broker_connections import reconnected
from tests.support.certificates import (
    CertificateFiles,
    certificate_files,
    presented,
    replace_certificate,
    replace_file,
    serial_of,
)
from tests.support.eventually import until
from tests.support.system_fixtures import OrderLoad, placing
from tests.support.tls_servers import HOST
from tests.support.tls_shop_fixtures import RunningTlsShop, tls_shop

__all__ = ["tls_shop"]

pytestmark = [pytest.mark.real, pytest.mark.system, pytest.mark.timeout(1800)]

WAIT_S = 300.0
FOLLOWED = "using the new database certificate authorities"
WITH_QUEUES = (*SERVICES, GATEWAY)


async def test_certificates_and_their_authority_are_replaced_while_orders_run(
    tls_shop: RunningTlsShop, tmp_path: Path
) -> None:
    shop, trusted = tls_shop.shop, tls_shop.files.ca
    another = trustme.CA()
    old, new = trusted.read_bytes(), another.cert_pem.bytes()
    await seed(shop)
    load = OrderLoad(shop, await register(shop, ["Ada", "Grace", "Edsger"]), seed=1)
    async with placing(load, 60, 1.0):
        await present(tls_shop, issued(tmp_path / "renewed", tls_shop.authority))

        replace_file(trusted, old + new)
        await all_stores_followed(tls_shop, times=1)
        await present(tls_shop, issued(tmp_path / "of the new authority", another))

        replace_file(trusted, new)
        await all_stores_followed(tls_shop, times=2)
        await connect_again(tls_shop)
    await load.all_end_as_expected(wait_s=WAIT_S)
    # A mail is sent again if the response to it, or the record of it, is lost with a connection (decision 8).
    await load.one_mail_each(wait_s=WAIT_S, copies_max=2)
    await load.doctor_agrees()
    await nothing_trusts(tls_shop, old, tmp_path / "old.pem")


def issued(directory: Path, authority: trustme.CA) -> CertificateFiles:
    return certificate_files(directory, hosts=(HOST,), authority=authority)


def ports(running: RunningTlsShop) -> list[int]:
    """Of every server with a certificate: the programs' doors, AMQP, management API, MongoDB."""
    urls = [*running.shop.endpoints.http.values(), running.rabbit.management_url]
    own = [urlsplit(url).port or 0 for url in urls]
    return [*own, running.rabbit.settings.amqp_port, *running.mongo.ports]


async def present(running: RunningTlsShop, new: CertificateFiles) -> None:
    """Programs and mail server follow their files; broker and database read them on command."""
    replace_certificate(running.files, new)
    await running.rabbit.present(new)
    await running.mongo.present(new.both)
    for port in ports(running):
        assert await presented(port, client_context(running.files.ca), HOST) == serial_of(new), port
    for service in WITH_QUEUES:
        await reconnected(running.shop, service, within_s=WAIT_S)
    running.relay.disconnect()
    await running.shop.ready([*WITH_QUEUES, "operations"])


async def all_stores_followed(running: RunningTlsShop, times: int) -> None:
    for service in WITH_QUEUES:
        log = running.shop.state_dir / "log" / f"{service}.log"
        await until(partial(has_followed, log, times), within_s=WAIT_S)


def has_followed(log: Path, times: int) -> bool:
    return log.read_text().count(FOLLOWED) >= times


async def connect_again(running: RunningTlsShop) -> None:
    """Every connection is made again, and nothing but the new authority is trusted."""
    shop = running.shop
    for service in WITH_QUEUES:
        await reconnected(shop, service, within_s=WAIT_S)
    running.relay.disconnect()
    await shop.stop("user_svc")  # which notification_svc and the gateway call
    shop.start("user_svc")
    await running.mongo.stop()
    await running.mongo.start(lambda text: None)
    await shop.ready([*WITH_QUEUES, "operations"])


async def nothing_trusts(running: RunningTlsShop, authority: bytes, file: Path) -> None:
    """Who trusts only the old authority accepts none of the certificates."""
    replace_file(file, authority)
    for port in ports(running):
        with pytest.raises(ssl.SSLCertVerificationError):
            await presented(port, client_context(file), HOST)
