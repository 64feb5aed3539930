"""A mail server with TLS and a login, in front of the mailbox: it passes each mail on."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import aiosmtplib

from tests.support.certificates import CertificateFiles, server_context
from tests.support.mail_fixtures import FakeSmtp

USER = "shop"


class MailRelay(FakeSmtp):
    """It accepts mails after STARTTLS and a login as `shop` only. `password`: may be replaced at any time."""

    def __init__(self, files: CertificateFiles, mailbox_smtp_url: str, password: str) -> None:
        super().__init__(starttls=server_context(files), auth_required=True)
        self.password = password
        self._mailbox = urlsplit(mailbox_smtp_url)

    @property
    def url(self) -> str:
        return f"smtp://{USER}@localhost:{self.port}"

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:
        await aiosmtplib.send(
            envelope.content,
            sender=envelope.mail_from,
            recipients=envelope.rcpt_tos,
            hostname=self._mailbox.hostname,
            port=self._mailbox.port,
        )
        return await super().handle_DATA(server, session, envelope)


@asynccontextmanager
async def mail_relay(
    files: CertificateFiles, mailbox_smtp_url: str, password_file: Path
) -> AsyncIterator[MailRelay]:
    """Its password is that of the file."""
    relay = MailRelay(files, mailbox_smtp_url, password_file.read_text())
    await relay.open()
    try:
        yield relay
    finally:
        await relay.close()
