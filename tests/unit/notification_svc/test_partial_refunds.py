"""Each refund of a part has a mail of its own that says how much."""

from datetime import UTC, datetime
from email.message import Message
from uuid import UUID

from chassis.core.decision import Context, Decision
from contracts import notifications
from contracts.http.users import Recipient
from contracts.notifications import MailKind
from contracts.values import Money, ReturnedLine, ReturnTo
from notification_svc import render
from notification_svc.decider import decide, key, newer_mails, recall, recalled_key
from notification_svc.mail import Mail, MailStatus, Sent
from notification_svc.service import notification_service
from tests.support.messages import (
    CUSTOMER,
    KETTLE,
    ORDER,
    OTHER_REFUND_ID,
    PART,
    PART_REFUNDED,
    REFUND_ID,
    REFUNDED,
    RETURNED,
)

SECOND = PART_REFUNDED.model_copy(
    update={"refund_id": OTHER_REFUND_ID, "amount": Money(amount_minor=600, currency="EUR")}
)
SEND = notifications.SendMail(about=ORDER, kind=MailKind.PAYMENT_REFUNDED, part=REFUND_ID)


def queued() -> Mail:
    decision = decide(Mail(), PART_REFUNDED, Context())
    assert isinstance(decision, Decision) and decision.emits == (SEND,)
    mail: Mail = decision.state
    return mail


def text_of(mail: Mail) -> tuple[Message, str]:
    ann = Recipient(email="ann@shop.example", name="Ann")
    written = render.render_mail(
        mail, ann, "shop@shop.example", "https://x", datetime(2026, 3, 1, tzinfo=UTC)
    )
    plain = next(part for part in written.walk() if not part.is_multipart()).get_payload(decode=True)
    assert isinstance(plain, bytes)
    return written, " ".join(plain.decode().split())


def test_each_part_is_a_mail_of_its_own() -> None:
    assert len({key(PART_REFUNDED), key(SECOND), key(REFUNDED)}) == 3
    assert key(PART_REFUNDED) == key(SEND)
    assert newer_mails(queued(), SEND) == ()


def test_the_mail_names_the_amount_of_the_part() -> None:
    written, text = text_of(queued())
    assert "14.00 EUR" in text and "refunded a part of your payment" in text and str(ORDER) in text
    whole, text = text_of(Mail(MailStatus.QUEUED, ORDER, MailKind.PAYMENT_REFUNDED, CUSTOMER, PART))
    assert "for a cancelled order" in text
    assert whole["Message-ID"] != written["Message-ID"]


def test_the_mail_names_the_goods_once_for_each_article() -> None:
    titled = RETURNED[0].model_copy(update={"title": "Mug, white"}), RETURNED[1]
    kettle = ReturnedLine(sku=KETTLE, quantity=2, to=ReturnTo.STOCK, title="Kettle <blue>")
    refunded = PART_REFUNDED.model_copy(update={"returned": (*titled, kettle)})
    decision = decide(Mail(), refunded, Context())
    assert isinstance(decision, Decision)
    written, text = text_of(decision.state)
    assert "14.00 EUR For 2 × Mug, white 2 × Kettle <blue> See" in text
    html = [*written.walk()][-1].get_payload(decode=True)
    assert isinstance(html, bytes) and "2 × Mug, white; 2 × Kettle &lt;blue&gt;" in html.decode()
    assert " For " not in text_of(queued())[1]


def test_the_event_about_the_mail_names_the_part() -> None:
    decision = decide(queued(), Sent(), Context())
    assert isinstance(decision, Decision)
    [sent] = decision.emits
    assert sent == notifications.MailSent(about=ORDER, kind=MailKind.PAYMENT_REFUNDED, part=REFUND_ID)
    assert recalled_key(sent) == key(PART_REFUNDED)
    assert recall(Mail(), sent, Context()).state.part == REFUND_ID


def test_a_deferred_mail_is_retried_by_its_part() -> None:
    deadline = notification_service().aggregates[0].deadline
    assert deadline is not None
    assert deadline.make_command(key(PART_REFUNDED)) == SEND
    whole = deadline.make_command(key(REFUNDED))
    assert whole == notifications.SendMail(about=UUID(str(ORDER)), kind=MailKind.PAYMENT_REFUNDED)
