"""A whole shop with TLS_REQUIRED, on a broker, a database and a mail server that accept TLS only."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import trustme

from journey.admin import ssl_context
from journey.admin.private_files import write_private
from journey.devenv.infra.mailbox_process import MAILBOX, start_mailbox
from journey.devenv.infra.processes import Processes
from tests.support.certificates import CertificateFiles, certificate_files
from tests.support.mail_relay import MailRelay, mail_relay
from tests.support.shops.tls import TlsShop, infrastructure_of, tls_servers
from tests.support.tls_servers import HOST, TlsMongo, TlsRabbit


@dataclass(frozen=True)
class RunningTlsShop:
    """`files`: the certificate of all processes and servers, issued by `authority`, which all trust."""

    shop: TlsShop
    files: CertificateFiles
    authority: trustme.CA
    rabbit: TlsRabbit
    mongo: TlsMongo
    relay: MailRelay


def _quiet(_text: str) -> None:
    pass


@pytest.fixture
async def tls_shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[RunningTlsShop]:
    authority = trustme.CA()
    files = certificate_files(tmp_path / "certificates", hosts=(HOST,), authority=authority)
    # For the tools of this process: the services get the authority by their settings.
    monkeypatch.setenv("SSL_CERT_FILE", str(files.ca))
    ssl_context.tls.cache_clear()
    password_file = tmp_path / "smtp_password"
    write_private(password_file, "a password of the test")
    smtp_url, mailbox_url = await start_mailbox(tmp_path, _quiet)
    try:
        async with (
            tls_servers(tmp_path, files) as (rabbit, mongo),
            mail_relay(files, smtp_url, password_file) as relay,
        ):
            mail = {"smtp_url": relay.url, "mailbox_url": mailbox_url}
            found = infrastructure_of(rabbit, mongo, files.ca, mail)
            settings = {"SMTP_PASSWORD_FILE": str(password_file)}
            shop = TlsShop(tmp_path / "shop", found, files, settings=settings)
            try:
                await shop.up(_quiet, web=True)
                yield RunningTlsShop(shop, files, authority, rabbit, mongo, relay)
            finally:
                await shop.down(_quiet)
    finally:
        await Processes(tmp_path).stop(MAILBOX)
        ssl_context.tls.cache_clear()
