"""The mailer against a real SMTP server in this process."""

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from email.message import Message
from uuid import UUID

import pytest

from chassis.core.definition import EffectUnavailable
from chassis.messaging.identity import new_id
from contracts.notifications import MailKind
from notification_svc import mail_server as module
from notification_svc.mail import Deferred, Deliver, Mail, MailStatus, Sent, Undeliverable
from notification_svc.mail_server import SmtpClient
from notification_svc.mailer import PAUSE_MAX, PAUSE_MIN, SHORT_PAUSE, Mailer
from notification_svc.service import EFFECTS_MAX
from notification_svc.settings import GIVE_UP_AFTER
from notification_svc.user_client import RecipientClient
from tests.support.mail_fixtures import SHOP_URL, FakeSmtp, Users

NOW = datetime(2026, 3, 1, tzinfo=UTC)
SENDER = "Order Journey <no-reply@order-journey.example>"


@pytest.fixture
def mailer(contacts: RecipientClient, mail_server: SmtpClient) -> Mailer:
    return Mailer(contacts, mail_server, SENDER, SHOP_URL, lambda: NOW)


def about(user_id: UUID) -> Deliver:
    return Deliver(Mail(MailStatus.QUEUED, new_id(), MailKind.ORDER_DISPATCHED, user_id))


def text_of(mail: Message) -> str:
    plain = mail.get_payload(0)
    assert isinstance(plain, Message)
    return str(plain.get_payload()).replace("\r\n", "\n")


async def test_a_mail_reaches_the_mail_server(mailer: Mailer, smtp: FakeSmtp, users: Users) -> None:
    effect = about(users.add("ann@shop.example"))
    assert await mailer.deliver(effect) == Sent()
    (mail,) = smtp.mails
    assert (mail["To"], mail["From"]) == ("ann@shop.example", SENDER)
    assert mail["Date"] == "Sun, 01 Mar 2026 00:00:00 +0000"
    assert [part.get_content_type() for part in mail.walk()][1:] == ["text/plain", "text/html"]


async def test_a_repeated_effect_has_the_same_message_id(
    mailer: Mailer, smtp: FakeSmtp, users: Users
) -> None:
    effect = about(users.add())
    await mailer.deliver(effect)
    await mailer.deliver(effect)
    await mailer.deliver(replace(effect, mail=replace(effect.mail, about=new_id())))
    assert len(smtp.mails) == 3
    assert len({mail["Message-ID"] for mail in smtp.mails}) == 2


async def test_mails_one_after_the_other_share_a_connection(
    mailer: Mailer, smtp: FakeSmtp, users: Users
) -> None:
    for _ in range(5):
        await mailer.deliver(about(users.add()))
    assert (len(smtp.mails), smtp.connections) == (5, 1)


async def test_mails_at_the_same_moment_have_a_connection_each(
    mailer: Mailer, smtp: FakeSmtp, users: Users
) -> None:
    await mailer.deliver(about(users.add()))  # the domain has now accepted a mail
    effects = [about(users.add()) for _ in range(4)]
    for _ in range(2):
        await asyncio.gather(*(mailer.deliver(effect) for effect in effects))
    assert (len(smtp.mails), smtp.connections) == (9, 4)


@pytest.mark.parametrize(
    ("kind", "page"),
    [
        (MailKind.USER_REGISTERED, "/proofs?token=token-1-for-user_registered"),
        (MailKind.ADDRESS_PROOF, "/proofs?token=token-1-for-address_proof"),
        (MailKind.PASSWORD_RESET, "/password-resets/confirm?token=token-1-for-password_reset"),
        (MailKind.REGISTERED_AGAIN, "/login"),
        (MailKind.PASSWORD_CHANGED, "/password-resets"),
    ],
)
async def test_a_mail_about_an_account_leads_to_its_page(
    mailer: Mailer, smtp: FakeSmtp, users: Users, kind: MailKind, page: str
) -> None:
    assert await mailer.deliver(Deliver(Mail(MailStatus.QUEUED, new_id(), kind, users.add()))) == Sent()
    assert f"\n{SHOP_URL}{page}\n" in text_of(smtp.mails[0])


async def test_a_mail_about_an_order_leads_to_it(mailer: Mailer, smtp: FakeSmtp, users: Users) -> None:
    effect = about(users.add())
    await mailer.deliver(effect)
    assert f"\n{SHOP_URL}/orders/{effect.mail.about}\n" in text_of(smtp.mails[0])


async def test_a_repeated_mail_has_a_new_token_only(mailer: Mailer, smtp: FakeSmtp, users: Users) -> None:
    effect = Deliver(Mail(MailStatus.QUEUED, new_id(), MailKind.PASSWORD_RESET, users.add()))
    await mailer.deliver(effect)
    await mailer.deliver(effect)
    first, second = smtp.mails
    assert first["Message-ID"] == second["Message-ID"]
    assert text_of(first) != text_of(second)


async def test_a_link_mail_without_a_token_is_not_sent(mailer: Mailer, smtp: FakeSmtp, users: Users) -> None:
    users.gives_tokens = False
    effect = Deliver(Mail(MailStatus.QUEUED, new_id(), MailKind.ADDRESS_PROOF, users.add()))
    assert await mailer.deliver(effect) == Undeliverable("user_svc gives no link for it")
    assert smtp.mails == []


async def test_an_erased_user_gets_no_mail(mailer: Mailer, smtp: FakeSmtp) -> None:
    assert await mailer.deliver(about(new_id())) == Undeliverable("the user is gone")
    assert smtp.mails == []


@pytest.mark.parametrize(
    ("phase", "reply"),
    [
        ("at_recipient", "450 4.2.1 mailbox busy"),
        ("at_recipient", "451 4.3.0 greylisted"),
        ("at_recipient", "452 4.2.2 mailbox full"),
        ("at_data", "450 4.7.1 not this one"),
    ],
)
async def test_a_reply_about_one_recipient_defers_that_mail_only(
    mailer: Mailer, smtp: FakeSmtp, users: Users, phase: str, reply: str
) -> None:
    effect = about(users.add())
    setattr(smtp, phase, reply)
    assert await mailer.deliver(effect) == Deferred(NOW, NOW + PAUSE_MIN)
    setattr(smtp, phase, "250 OK")
    assert await mailer.deliver(effect) == Sent()
    assert (len(smtp.mails), smtp.connections) == (1, 1)


async def test_pauses_grow_until_a_mail_is_abandoned(mailer: Mailer, smtp: FakeSmtp, users: Users) -> None:
    smtp.at_recipient = "450 4.2.1 mailbox busy"
    mail = about(users.add()).mail
    pauses: list[timedelta] = []
    for _ in range(20):
        response = await mailer.deliver(Deliver(mail))
        assert isinstance(response, Deferred)
        mail, pauses = mail.deferred(response), [*pauses, response.retry_at - response.at]
    assert pauses[:3] == [PAUSE_MIN, 2 * PAUSE_MIN, 4 * PAUSE_MIN]
    assert pauses == sorted(pauses) and pauses[-1] == PAUSE_MAX
    late = replace(mail, deferred_since=NOW - GIVE_UP_AFTER)
    given_up = await mailer.deliver(Deliver(late))
    assert given_up == Undeliverable("given up after 5 days: the mail server asks to try later (450)")


async def test_silence_after_the_recipient_defers_that_mail_only(
    mailer: Mailer, smtp: FakeSmtp, users: Users, monkeypatch: pytest.MonkeyPatch
) -> None:
    smtp.silent_about = "hangs.example"
    with monkeypatch.context() as impatient:
        impatient.setattr(module, "SEND_S_MAX", 0.2)
        assert isinstance(await mailer.deliver(about(users.add("ann@hangs.example"))), Deferred)
    assert await mailer.deliver(about(users.add())) == Sent()


async def test_a_failing_domain_gets_a_quarter_of_the_slots(
    mailer: Mailer, smtp: FakeSmtp, users: Users, monkeypatch: pytest.MonkeyPatch
) -> None:
    smtp.silent_about = "hangs.example"
    waiting = [
        asyncio.create_task(mailer.deliver(about(users.add("ann@hangs.example")))) for _ in range(EFFECTS_MAX)
    ]
    done, pending = await asyncio.wait(waiting, timeout=5, return_when=asyncio.ALL_COMPLETED)
    assert (len(done), len(pending)) == (EFFECTS_MAX - EFFECTS_MAX // 4, EFFECTS_MAX // 4)
    assert all(task.result() == Deferred(NOW, NOW + SHORT_PAUSE, counts=False) for task in done)
    assert await mailer.deliver(about(users.add("bob@shop.example"))) == Sent()
    for task in pending:
        task.cancel()


async def test_a_domain_that_accepts_mails_gets_all_slots(
    mailer: Mailer, smtp: FakeSmtp, users: Users
) -> None:
    assert await mailer.deliver(about(users.add())) == Sent()
    responses = await asyncio.gather(*(mailer.deliver(about(users.add())) for _ in range(EFFECTS_MAX)))
    assert responses == [Sent()] * EFFECTS_MAX


@pytest.mark.parametrize(
    ("phase", "reply"),
    [
        ("at_recipient", "421 4.3.2 closing"),
        ("at_sender", "450 4.3.0 later"),
        ("at_data", "451 4.3.0 later"),
        ("at_data", "452 4.3.1 disk full"),
    ],
)
async def test_a_deferring_server_is_tried_later(
    mailer: Mailer, smtp: FakeSmtp, users: Users, phase: str, reply: str
) -> None:
    effect = about(users.add())
    setattr(smtp, phase, reply)
    with pytest.raises(EffectUnavailable):
        await mailer.deliver(effect)
    setattr(smtp, phase, "250 OK")
    assert await mailer.deliver(effect) == Sent()
    assert len(smtp.mails) == 1


@pytest.mark.parametrize("phase", ["at_recipient", "at_data"])
async def test_a_mail_refused_for_good_is_undeliverable(
    mailer: Mailer, smtp: FakeSmtp, users: Users, phase: str
) -> None:
    setattr(smtp, phase, "550 5.1.1 no such user {}" if phase == "at_recipient" else "550 5.7.1 no")
    response = await mailer.deliver(about(users.add("ann@shop.example")))
    assert response == Undeliverable("the mail server rejects it (550)")
    setattr(smtp, phase, "250 OK")
    assert await mailer.deliver(about(users.add())) == Sent()


async def test_a_server_that_rejects_the_sender_is_tried_later(
    mailer: Mailer, smtp: FakeSmtp, users: Users
) -> None:
    effect = about(users.add())
    smtp.at_sender = "550 5.7.1 who are you"
    with pytest.raises(EffectUnavailable):
        await mailer.deliver(effect)
    smtp.at_sender = "250 OK"
    assert await mailer.deliver(effect) == Sent()


async def test_a_password_is_never_sent_without_encryption(
    contacts: RecipientClient, smtp: FakeSmtp, users: Users
) -> None:
    server = SmtpClient(smtp.url.replace("//", "//shop@"), lambda: "s3cret")
    with pytest.raises(EffectUnavailable):  # this server offers no TLS
        await Mailer(contacts, server, SENDER, SHOP_URL, lambda: datetime.now(UTC)).deliver(
            about(users.add())
        )
    assert (smtp.connections, smtp.mails) == (1, [])


@pytest.mark.parametrize("email", ["nonsense", "zoë@shop.example"])
async def test_an_address_that_cannot_be_used_is_undeliverable(
    mailer: Mailer, users: Users, email: str
) -> None:
    response = await mailer.deliver(about(users.add(email)))
    assert isinstance(response, Undeliverable)
    assert "@" not in response.detail and "nonsense" not in response.detail


async def test_a_server_that_hangs_is_unavailable(
    mailer: Mailer, smtp: FakeSmtp, users: Users, monkeypatch: pytest.MonkeyPatch
) -> None:
    effect = about(users.add())
    smtp.hangs = True
    with monkeypatch.context() as impatient, pytest.raises(EffectUnavailable):
        impatient.setattr(module, "SEND_S_MAX", 0.1)
        await mailer.deliver(effect)
    smtp.hangs = False
    assert await mailer.deliver(effect) == Sent()
    assert smtp.connections == 2  # the half-finished connection is not reused


async def test_a_server_that_is_gone_is_unavailable_and_found_again(
    mailer: Mailer, smtp: FakeSmtp, users: Users
) -> None:
    await mailer.deliver(about(users.add()))
    await smtp.close()
    with pytest.raises(EffectUnavailable):
        await mailer.deliver(about(users.add()))
    await smtp.open()
    assert await mailer.deliver(about(users.add())) == Sent()


async def test_a_connection_that_the_server_has_closed_is_not_used(
    mailer: Mailer, mail_server: SmtpClient, smtp: FakeSmtp, users: Users
) -> None:
    await mailer.deliver(about(users.add()))
    await smtp.close()
    while mail_server._idle[0].is_connected:
        await asyncio.sleep(0.001)
    await smtp.open()
    assert await mailer.deliver(about(users.add())) == Sent()


async def test_no_error_contains_the_recipient(mailer: Mailer, smtp: FakeSmtp, users: Users) -> None:
    smtp.at_data = "451 4.3.0 ann@shop.example is busy"
    with pytest.raises(EffectUnavailable) as error:
        await mailer.deliver(about(users.add()))
    assert "@" not in str(error.value)
    assert error.value.__suppress_context__  # the server's text is not in the traceback either
