"""A real mail server in this process, and a fake user_svc."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from email import message_from_bytes
from email.message import Message
from typing import Any
from uuid import UUID

import httpx
import pytest
from aiosmtpd.smtp import SMTP, AuthResult

from chassis.messaging.identity import new_id
from notification_svc import mail_server as mail_server_module
from notification_svc import user_client as contacts_module
from notification_svc.mail_server import SmtpClient
from notification_svc.user_client import RecipientClient

SHOP_URL = "https://shop.example"


class FakeSmtp:
    """A mail server with configurable replies to senders, recipients and mails."""

    def __init__(
        self,
        *,
        starttls: ssl.SSLContext | None = None,
        smtps: ssl.SSLContext | None = None,
        auth_required: bool = False,
    ) -> None:
        """`starttls`: offered. `smtps`: TLS from the first byte. `auth_required`: no mail without a login."""
        self._auth_required = auth_required
        self._starttls = starttls
        self._smtps = smtps
        self.password = ""  # of the user `shop`; empty: no login is offered
        self.logins: list[str] = []
        self.mails: list[Message] = []
        self.at_sender = "250 OK"
        self.at_recipient = "250 OK"
        self.at_data = "250 OK"
        self.hangs = False
        self.silent_about = self.deferring = (
            "nowhere.example"  # a domain whose recipients get no reply, or "later"
        )
        self.deferred = 0
        self.connections = 0
        self._server: asyncio.Server | None = None
        self._open: set[Any] = set()
        self.port = 0

    @property
    def url(self) -> str:
        return f"{'smtps' if self._smtps else 'smtp'}://127.0.0.1:{self.port}"

    async def open(self) -> None:
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(self._protocol, "127.0.0.1", self.port, ssl=self._smtps)
        self.port = self._server.sockets[0].getsockname()[1]

    async def close(self) -> None:
        """Also closes all connections."""
        if self._server is not None:
            self._server.close()
            self.disconnect()
            self._server = None

    def disconnect(self) -> None:
        """Close all connections, also those that clients keep for their next mail."""
        for protocol in self._open:
            if protocol.transport is not None:
                protocol.transport.abort()
        self._open.clear()

    def _protocol(self) -> Any:
        self.connections += 1
        protocol = SMTP(
            self,
            hostname="post.example",
            enable_SMTPUTF8=False,
            tls_context=self._starttls,
            authenticator=self._log_in if self.password else None,
            auth_required=self._auth_required,
        )
        self._open.add(protocol)
        return protocol

    def _log_in(self, server: Any, session: Any, envelope: Any, mechanism: str, login: Any) -> AuthResult:
        self.logins.append(login.password.decode())
        return AuthResult(success=login.password.decode() == self.password, handled=False)

    async def handle_MAIL(
        self, server: Any, session: Any, envelope: Any, address: str, options: list[str]
    ) -> str:
        if self.at_sender.startswith("250"):
            envelope.mail_from = address
        return self.at_sender

    async def handle_RCPT(
        self, server: Any, session: Any, envelope: Any, address: str, options: list[str]
    ) -> str:
        if address.endswith(f"@{self.silent_about}"):
            await asyncio.Event().wait()
        if address.endswith(f"@{self.deferring}"):
            self.deferred += 1
            return "450 4.2.1 try again later"
        if self.at_recipient.startswith("250"):
            envelope.rcpt_tos.append(address)
        return self.at_recipient.format(address)

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:
        if self.hangs:
            await asyncio.Event().wait()
        if self.at_data.startswith("250"):
            self.mails.append(message_from_bytes(envelope.content))
        return self.at_data


class Users:
    """Responds to GET /internal/contacts/{id} like user_svc, or with a configured status or error."""

    def __init__(self) -> None:
        self.contacts: dict[UUID, dict[str, str]] = {}
        self.fails_with: int | Exception | None = None
        self.asked: list[httpx.Request] = []
        self.gives_tokens = True

    def add(self, email: str = "ann@shop.example", name: str = "Ann") -> UUID:
        user_id = new_id()
        self.contacts[user_id] = {"email": email, "name": name}
        return user_id

    def response(self, request: httpx.Request) -> httpx.Response:
        self.asked.append(request)
        if isinstance(self.fails_with, Exception):
            raise self.fails_with
        if self.fails_with is not None:
            return httpx.Response(self.fails_with)
        contact = self.contacts.get(UUID(request.url.path.rpartition("/")[2]))
        if contact is None:
            return httpx.Response(404)
        return httpx.Response(200, json=self._token(request.url.params["kind"]) | contact)

    def _token(self, kind: str) -> dict[str, str]:
        """A new token for each request, and only for the mails that need one."""
        if kind not in ("user_registered", "address_proof", "password_reset") or not self.gives_tokens:
            return {}
        return {"link_token": f"token-{len(self.asked)}-for-{kind}"}

    def client(self) -> httpx.AsyncClient:
        return httpx.AsyncClient(transport=httpx.MockTransport(self.response), base_url="http://user_svc")


@pytest.fixture(autouse=True)
def no_time_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    """No time limits: a test decides when to give up."""
    monkeypatch.setattr(contacts_module, "REQUEST_S_MAX", 60.0)
    monkeypatch.setattr(mail_server_module, "SEND_S_MAX", 60.0)


@pytest.fixture
async def smtp() -> AsyncIterator[FakeSmtp]:
    smtp = FakeSmtp()
    await smtp.open()
    yield smtp
    await smtp.close()


@pytest.fixture
def users() -> Users:
    return Users()


@pytest.fixture
async def contacts(users: Users) -> AsyncIterator[RecipientClient]:
    async with users.client() as http:
        yield RecipientClient(http, lambda: "token-of-ours")


@pytest.fixture
async def mail_server(smtp: FakeSmtp) -> AsyncIterator[SmtpClient]:
    server = SmtpClient(smtp.url)
    yield server
    server.close()
