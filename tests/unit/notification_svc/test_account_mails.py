"""Mails about accounts: user_svc determines the recipient at the last moment,
and whether the mail is still valid.
"""

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import httpx
import pytest

from chassis.bus.memory import MemoryStore
from chassis.core.decision import Context, Decision
from chassis.core.execute import execute
from chassis.messaging.identity import new_id
from contracts import notifications, users
from contracts.notifications import MailKind
from notification_svc.decider import decide
from notification_svc.mail import Deliver, Mail, MailStatus, Sent, Superseded, Undeliverable
from notification_svc.mail_server import SmtpClient
from notification_svc.mailer import Mailer
from notification_svc.user_client import RecipientClient
from tests.support.mail_fixtures import SHOP_URL, FakeSmtp, Users
from tests.support.shops import user as user_svc
from user_svc.accounts.aggregates import USERS
from user_svc.accounts.user import (
    AccountCommand,
    Erase,
    Prove,
    RegisterAgain,
    RequestProof,
    RequestReset,
    SetPassword,
)

NOW = datetime(2026, 3, 1, tzinfo=UTC)
LATER = datetime(2026, 3, 2, 12, tzinfo=UTC)
FIRST, SECOND = new_id(), new_id()


def mailer_with(http: httpx.AsyncClient, mail_server: SmtpClient, token: str = "token-of-ours") -> Mailer:
    return Mailer(
        RecipientClient(http, lambda: token), mail_server, "shop@shop.example", SHOP_URL, lambda: NOW
    )


class Account:
    """An account at a real user_svc, and a mailer that uses it."""

    def __init__(self, accounts: user_svc.UserApp, mailer: Mailer, user_id: UUID) -> None:
        self.accounts, self.mailer, self.user_id = accounts, mailer, user_id

    async def asks(self, asked: AccountCommand) -> None:
        await execute(self.accounts.runtime, USERS, str(self.user_id), asked)

    async def deliver(self, kind: MailKind, about: UUID) -> Any:
        return await self.mailer.deliver(Deliver(Mail(MailStatus.QUEUED, about, kind, self.user_id)))


@pytest.fixture
async def account(mail_server: SmtpClient) -> AsyncIterator[Account]:
    accounts = user_svc.UserApp(MemoryStore())
    registered = await accounts.register()
    mailer = mailer_with(accounts.http, mail_server, user_svc.SERVICE_TOKEN)
    yield Account(accounts, mailer, UUID(registered.json()["user_id"]))


async def test_only_the_newest_of_several_password_reset_mails_is_sent(
    account: Account, smtp: FakeSmtp
) -> None:
    for request_id, at in (FIRST, NOW), (SECOND, LATER):
        await account.asks(RequestReset(request_id, at))
    assert await account.deliver(MailKind.PASSWORD_RESET, FIRST) == Superseded(MailKind.PASSWORD_RESET)
    assert await account.deliver(MailKind.PASSWORD_RESET, SECOND) == Sent()
    assert len(smtp.mails) == 1


async def test_after_a_password_change_only_the_notice_is_sent(account: Account, smtp: FakeSmtp) -> None:
    await account.asks(RequestReset(FIRST, NOW))
    await account.asks(SetPassword("hash", 0, SECOND))
    assert await account.deliver(MailKind.PASSWORD_RESET, FIRST) == Superseded(MailKind.PASSWORD_CHANGED)
    assert await account.deliver(MailKind.PASSWORD_CHANGED, SECOND) == Sent()
    await account.asks(RequestReset(FIRST, LATER))
    assert await account.deliver(MailKind.PASSWORD_RESET, FIRST) == Sent()
    assert len(smtp.mails) == 2


async def test_only_the_newest_verification_mail_is_sent(account: Account, smtp: FakeSmtp) -> None:
    welcome = account.user_id
    await account.asks(RequestProof(FIRST, LATER))
    assert await account.deliver(MailKind.USER_REGISTERED, welcome) == Superseded(MailKind.ADDRESS_PROOF)
    await account.asks(RequestProof(SECOND, LATER.replace(hour=13)))
    assert await account.deliver(MailKind.ADDRESS_PROOF, FIRST) == Superseded(MailKind.ADDRESS_PROOF)
    assert await account.deliver(MailKind.ADDRESS_PROOF, SECOND) == Sent()
    await account.asks(Prove())
    assert await account.deliver(MailKind.ADDRESS_PROOF, SECOND) == Superseded(MailKind.ADDRESS_PROOF)
    assert await account.deliver(MailKind.USER_REGISTERED, welcome) == Superseded(MailKind.USER_REGISTERED)
    assert len(smtp.mails) == 1


async def test_only_the_newest_repeated_registration_notice_is_sent(account: Account) -> None:
    await account.asks(Prove())
    for request_id, at in (FIRST, NOW), (SECOND, LATER):
        await account.asks(RegisterAgain(request_id, at))
    assert await account.deliver(MailKind.REGISTERED_AGAIN, FIRST) == Superseded(MailKind.REGISTERED_AGAIN)
    assert await account.deliver(MailKind.REGISTERED_AGAIN, SECOND) == Sent()


async def test_a_mail_request_of_an_earlier_version_is_not_dropped(account: Account, smtp: FakeSmtp) -> None:
    await account.asks(RequestReset(FIRST, NOW))
    store = account.accounts.runtime.store
    document = next(iter(store._kinds["users"].values())).loaded.state  # type: ignore[attr-defined]
    for name in ("proof_request_id", "reset_request_id", "again_request_id"):
        del document[name]
    for kind in (MailKind.PASSWORD_RESET, MailKind.ADDRESS_PROOF, MailKind.USER_REGISTERED):
        assert await account.deliver(kind, new_id()) == Sent()


def test_a_superseded_mail_is_recorded_and_announced() -> None:
    mail = Mail(MailStatus.QUEUED, FIRST, MailKind.PASSWORD_RESET, new_id())
    decision = decide(mail, Superseded(MailKind.PASSWORD_CHANGED), Context())
    assert isinstance(decision, Decision)
    assert decision.state.status is MailStatus.SUPERSEDED
    reported = notifications.MailSuperseded(
        about=FIRST, kind=MailKind.PASSWORD_RESET, superseded_by=MailKind.PASSWORD_CHANGED
    )
    assert decision.emits == (reported,)
    again = users.PasswordResetRequested(request_id=FIRST, user_id=new_id())
    assert not getattr(decide(decision.state, again, Context()), "emits", ())


# during the SMTP session


async def test_an_erased_account_gets_no_delayed_mail(account: Account, smtp: FakeSmtp) -> None:
    """The erasure comes after the address was requested and the server has accepted the recipient."""
    recipient = smtp.handle_RCPT

    async def erased_then_ok(*given: Any) -> str:
        await account.asks(Erase())
        return await recipient(*given)

    setattr(smtp, "handle_RCPT", erased_then_ok)  # noqa: B010
    assert await account.deliver(MailKind.USER_REGISTERED, account.user_id) == Undeliverable(
        "the user is gone"
    )
    assert smtp.mails == []


async def test_a_repeated_request_drops_the_delayed_older_mail(account: Account, smtp: FakeSmtp) -> None:
    await account.asks(RequestReset(FIRST, NOW))
    recipient = smtp.handle_RCPT

    async def requested_again(*given: Any) -> str:
        await account.asks(RequestReset(SECOND, LATER))
        return await recipient(*given)

    setattr(smtp, "handle_RCPT", requested_again)  # noqa: B010
    assert await account.deliver(MailKind.PASSWORD_RESET, FIRST) == Superseded(MailKind.PASSWORD_RESET)
    assert smtp.mails == []
    assert await account.deliver(MailKind.PASSWORD_RESET, SECOND) == Sent()


async def test_a_mail_is_rendered_again_for_a_changed_address(
    users: Users, mail_server: SmtpClient, smtp: FakeSmtp
) -> None:
    ann, responses = users.add("ann@shop.example"), iter(["ann@shop.example", "new@shop.example"])

    def moving(request: httpx.Request) -> httpx.Response:
        if (email := next(responses, None)) is not None:
            users.contacts[ann]["email"] = email
        return users.response(request)

    http = httpx.AsyncClient(transport=httpx.MockTransport(moving), base_url="http://user_svc")
    mailer = mailer_with(http, mail_server)
    effect = Deliver(Mail(MailStatus.QUEUED, new_id(), MailKind.ORDER_CONFIRMED, ann))
    assert not isinstance(await mailer.deliver(effect), Sent)
    assert smtp.mails == []
    assert await mailer.deliver(effect) == Sent()
    assert [mail["To"] for mail in smtp.mails] == ["new@shop.example"]
