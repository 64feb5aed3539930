"""Rendering of mails."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from email.message import Message
from uuid import UUID

import pytest
from markupsafe import escape

from contracts.http.users import LINK_TOKEN_LENGTH_MAX, Recipient
from contracts.notifications import MailKind
from contracts.orders import CancelReason
from contracts.values import Money
from notification_svc import render
from notification_svc.mail import Mail, MailStatus
from notification_svc.render import AddressNotUsable

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
ABOUT = UUID("01890000-0000-7000-8000-000000000001")
ANN = Recipient(email="ann@shop.example", name="Ann")
LINK = "https://shop.example/somewhere?token=abc.def-_"
NAMELESS = (MailKind.USER_REGISTERED, MailKind.ADDRESS_PROOF, MailKind.PASSWORD_RESET)
ABOUT_ORDERS = (
    MailKind.ORDER_CONFIRMED,
    MailKind.ORDER_DISPATCHED,
    MailKind.ORDER_CANCELLED,
    MailKind.PAYMENT_REFUNDED,
)


def mail_of(kind: MailKind) -> Mail:
    money = Money(amount_minor=12_50, currency="EUR")
    return Mail(
        MailStatus.QUEUED,
        ABOUT,
        kind,
        amount=money if kind in (MailKind.ORDER_CONFIRMED, MailKind.PAYMENT_REFUNDED) else None,
        reason=CancelReason.OUT_OF_STOCK if kind is MailKind.ORDER_CANCELLED else None,
    )


def write(
    kind: MailKind = MailKind.ORDER_CONFIRMED, contact: Recipient = ANN, now: datetime = NOW, link: str = LINK
) -> Message:
    return render.render_mail(
        mail_of(kind), contact, "Order Journey <no-reply@order-journey.example>", link, now
    )


def parts(written: Message) -> tuple[str, str]:
    plain, html = (part.get_payload(decode=True) for part in written.walk() if not part.is_multipart())
    assert isinstance(plain, bytes) and isinstance(html, bytes)
    return plain.decode(), html.decode()


@pytest.mark.parametrize("kind", MailKind)
def test_every_kind_has_a_subject_a_text_and_html(kind: MailKind) -> None:
    written = write(kind)
    plain, html = parts(written)
    assert written.get_content_type() == "multipart/alternative"
    assert written["Subject"] in html
    assert plain.startswith("Hello,\n" if kind in NAMELESS else "Hello Ann,\n")
    assert "<h1" in html and "<" not in plain
    assert f"\n{LINK}\n" in plain and f'href="{LINK}"' in html
    if kind in ABOUT_ORDERS:
        assert str(ABOUT) in plain and str(ABOUT) in html
    if kind in (MailKind.ORDER_CONFIRMED, MailKind.PAYMENT_REFUNDED):
        assert "12.50 EUR" in plain and "12.50 EUR" in html


def test_the_mail_about_the_dispatch_has_the_tracking_reference() -> None:
    dispatched = replace(mail_of(MailKind.ORDER_DISPATCHED), tracking="RR123456785DE")
    for mail, is_shown in ((dispatched, True), (replace(dispatched, tracking=""), False)):
        for text in parts(render.render_mail(mail, ANN, "no-reply@order-journey.example", LINK, NOW)):
            assert ("RR123456785DE" in text) is is_shown
            assert ("Tracking reference" in text) is is_shown


@pytest.mark.parametrize(
    ("amount", "shown"),
    [
        (Money(amount_minor=129_900, currency="EUR"), "1,299.00 EUR"),
        (Money(amount_minor=1_500, currency="JPY"), "1,500 JPY"),
        (Money(amount_minor=12_345, currency="KWD"), "12.345 KWD"),
    ],
)
def test_amounts_have_the_currency_s_decimals(amount: Money, shown: str) -> None:
    for kind in (MailKind.ORDER_CONFIRMED, MailKind.PAYMENT_REFUNDED):
        mail = replace(mail_of(kind), amount=amount)
        plain, html = parts(render.render_mail(mail, ANN, "shop@shop.example", LINK, NOW))
        assert f" {shown}\n" in plain and f">{shown}<" in html


def test_the_mail_of_a_free_order_states_nothing_to_pay() -> None:
    free = replace(mail_of(MailKind.ORDER_CONFIRMED), amount=Money(amount_minor=0, currency="EUR"))
    for text in parts(render.render_mail(free, ANN, "shop@shop.example", LINK, NOW)):
        flat = " ".join(text.split())
        assert "and there is nothing to pay." in flat and "0.00 EUR" in flat and "approved" not in flat


def test_every_cancellation_reason_has_a_text() -> None:
    assert set(render.REASONS) == set(CancelReason)


def test_a_name_is_text_and_never_markup() -> None:
    plain, html = parts(write(contact=Recipient(email="ann@shop.example", name="<b>Ann</b> & Bob")))
    assert "Hello <b>Ann</b> & Bob," in plain
    assert "&lt;b&gt;Ann&lt;/b&gt; &amp; Bob" in html
    assert "<b>" not in html


@pytest.mark.parametrize("kind", NAMELESS)
def test_registering_a_foreign_address_cannot_send_chosen_text(kind: MailKind) -> None:
    """The person who registered chose the name, and before the proof that need not be the reader."""
    emitted = "".join(
        parts(write(kind, Recipient(email="ann@shop.example", name="Free money at evil.example")))
    )
    assert "evil.example" not in emitted


@pytest.mark.parametrize(
    "name", ['"><img src=x onerror=alert(1)>', "{{7*7}}", "{% include 'base.txt' %}", "a\u202eb"]
)
@pytest.mark.parametrize("kind", ABOUT_ORDERS)
def test_markup_templates_and_turned_text_stay_inert(kind: MailKind, name: str) -> None:
    written = write(kind, Recipient(email="ann@shop.example", name=name))
    plain, html = parts(written)
    assert "<img" not in html and "49" not in plain + html and "\u202e" not in plain + html
    if name.isprintable():
        assert f"Hello {name}," in plain
        assert f"Hello {escape(name)}," in html


def test_a_link_is_an_attribute_and_never_markup() -> None:
    _, html = parts(write(link='https://shop.example/"><script>'))
    assert "<script>" not in html


def test_no_line_is_longer_than_a_mail_may_have() -> None:
    longest = f"https://{'shop' * 20}.example/password-resets/confirm?token={'x' * LINK_TOKEN_LENGTH_MAX}"
    for kind in MailKind:
        assert all(len(line) <= 998 for line in write(kind, link=longest).as_bytes().splitlines())


def test_without_a_name_the_greeting_has_no_gap() -> None:
    plain, html = parts(write(contact=Recipient(email="ann@shop.example")))
    assert plain.startswith("Hello,\n")
    assert "Hello,</p>" in html


def test_a_name_in_any_script_arrives_whole() -> None:
    plain, html = parts(write(contact=Recipient(email="ann@shop.example", name="Ζωή 王")))
    assert "Hello Ζωή 王," in plain and "Hello Ζωή 王," in html


def test_a_former_address_gets_a_notice_without_a_link() -> None:
    former = Recipient(email="old@shop.example", name="Ann", address_changed=True)
    notice = write(MailKind.PASSWORD_CHANGED, former)
    assert notice["Subject"] == "Your e-mail address was changed"
    assert LINK not in "".join(parts(notice))


def test_the_same_mail_is_the_same_bytes() -> None:
    assert write().as_bytes() == write().as_bytes()


def test_the_message_id_follows_from_subject_and_kind() -> None:
    tomorrow = write(contact=Recipient(email="new@shop.example"), now=NOW + timedelta(days=1))
    assert tomorrow["Message-ID"] == write()["Message-ID"]
    assert len({write(kind)["Message-ID"] for kind in MailKind}) == len(MailKind)
    assert write()["Message-ID"].endswith("@order-journey.example>")


def test_a_name_cannot_add_a_header() -> None:
    written = write(contact=Recipient(email="ann@shop.example", name="Ann\r\nBcc: all@shop.example"))
    assert written["Bcc"] is None
    assert "Hello Ann Bcc: all@shop.example," in parts(written)[0]


@pytest.mark.parametrize(
    "email", ["", "ann", "a b@shop.example", "ann@shop.example\r\nBcc: all@shop.example", "a@b@c"]
)
def test_an_invalid_address_is_rejected_without_repeating_it(email: str) -> None:
    with pytest.raises(AddressNotUsable) as error:
        write(contact=Recipient(email=email))
    assert str(error.value) == ""
