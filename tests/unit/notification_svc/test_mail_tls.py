"""TLS to the mail server, with certificates of the test's own authority."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from email.message import EmailMessage
from pathlib import Path

import pytest

from chassis import tls
from chassis.core.definition import EffectUnavailable
from notification_svc.mail_server import SmtpClient
from tests.support.certificates import UNFIT, CertificateFiles, certificate_files, server_context
from tests.support.mail_fixtures import FakeSmtp

WAYS = ("STARTTLS", "smtps")


@asynccontextmanager
async def mail_server(way: str, files: CertificateFiles) -> AsyncIterator[FakeSmtp]:
    context = server_context(files)
    server = FakeSmtp(smtps=context) if way == "smtps" else FakeSmtp(starttls=context)
    await server.open()
    try:
        yield server
    finally:
        await server.close()


def a_mail() -> EmailMessage:
    mail = EmailMessage()
    mail["From"], mail["To"], mail["Subject"] = "shop@shop.example", "ada@shop.example", "Your order"
    mail.set_content("It is on its way.")
    return mail


async def sent(server: FakeSmtp, ca: Path | None) -> bool:
    """Whether a client that requires TLS sends a mail. It trusts this authority, or those of the system."""
    client = SmtpClient(server.url, context=tls.client_context(ca), tls_required=True)
    try:
        await client.send(a_mail())
    except EffectUnavailable:
        return False
    finally:
        client.close()
    return True


@pytest.mark.parametrize("way", WAYS)
async def test_a_good_certificate_is_accepted(tmp_path: Path, way: str) -> None:
    files = certificate_files(tmp_path)
    async with mail_server(way, files) as server:
        assert await sent(server, files.ca)
        assert not await sent(server, None)
        assert len(server.mails) == 1


@pytest.mark.parametrize("flaw", UNFIT)
@pytest.mark.parametrize("way", WAYS)
async def test_a_server_with_an_unfit_certificate_gets_no_mail(tmp_path: Path, way: str, flaw: str) -> None:
    files = certificate_files(tmp_path, flaw)
    async with mail_server(way, files) as server:
        assert not await sent(server, files.ca)
        assert (server.connections, server.mails) == (1, [])


async def test_with_tls_required_a_server_without_it_gets_no_mail() -> None:
    server = FakeSmtp()
    await server.open()
    try:
        assert not await sent(server, None)
        assert (server.connections, server.mails) == (1, [])
    finally:
        await server.close()


async def test_a_new_password_counts_from_the_next_connection(tmp_path: Path) -> None:
    files, password = certificate_files(tmp_path), "first"
    async with mail_server("STARTTLS", files) as server:
        client = SmtpClient(
            server.url.replace("//", "//shop@"), lambda: password, context=tls.client_context(files.ca)
        )
        server.password = "first"
        await client.send(a_mail())
        client.close()
        server.password = "second"
        with pytest.raises(EffectUnavailable):
            await client.send(a_mail())
        password = "second"
        await client.send(a_mail())
        client.close()
        assert (server.logins[0], server.logins[-1]) == ("first", "second")
        assert len(server.mails) == 2
