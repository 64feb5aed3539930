"""Renders a mail: subject, plain text and HTML from the templates beside this file.

The result is deterministic except for the date and the token in a link. That includes the Message-ID, by
which a receiver can recognise duplicates.
"""

import re
from datetime import datetime
from email.mime.multipart import MIMEMultipart
from email.mime.text import MIMEText
from email.utils import format_datetime

from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape

from chassis.messaging.identity import derived_id
from contracts.http.users import Recipient
from contracts.notifications import MailKind
from contracts.orders import CancelReason
from contracts.values import format_money, item_names
from notification_svc.mail import Mail

DOMAIN = "order-journey.example"
_NAME_MAX = 100
# change the direction of the text that follows, including ours
_TURNS = re.compile("[\u202a-\u202e\u2066-\u2069]")
_ADDRESS = re.compile(r"""[^\s@<>()\[\]\\,;:"]+@[^\s@<>()\[\]\\,;:"]+""")

# Mails that may go to an unproved address. The person who registered chose the name, and could put any text
# into a mail to another person's address.
_WITHOUT_NAME = (MailKind.USER_REGISTERED, MailKind.ADDRESS_PROOF, MailKind.PASSWORD_RESET)

REASONS = {
    CancelReason.OUT_OF_STOCK: "something in it is no longer in stock",
    CancelReason.PAYMENT_DECLINED: "the payment was declined by the issuer of your card",
    CancelReason.CUSTOMER: "you asked us to",
    CancelReason.DEADLINE: "we could not complete it in time",
}

_TEMPLATES = Environment(
    loader=PackageLoader(__package__),
    autoescape=select_autoescape(["html"]),
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
    auto_reload=False,
)


class AddressNotUsable(Exception):
    """No mail can be sent to the user's address."""


def render_mail(mail: Mail, recipient: Recipient, sender: str, link: str, now: datetime) -> MIMEMultipart:
    """Raises AddressNotUsable."""
    facts = {
        "name": "" if mail.kind in _WITHOUT_NAME else _one_line(recipient.name),
        "about": str(mail.about),
        "amount": format_money(mail.amount, symbols=False) if mail.amount else "",
        "is_part": mail.part is not None,
        "items": item_names(mail.returned),
        "is_free": mail.amount is not None and mail.amount.is_zero,
        "reason": REASONS[mail.reason] if mail.reason else "",
        "tracking": mail.tracking,
        "link": link,
    }
    template = "email_changed" if recipient.address_changed else mail.kind
    subject, _, text = _TEMPLATES.get_template(f"{template}.txt").render(facts).partition("\n")
    html = _TEMPLATES.get_template(f"{template}.html").render(facts)
    identity = derived_id("mail", mail.about, mail.kind, *((mail.part,) if mail.part else ()))

    # email.message.EmailMessage would parse every header that is set, which costs more than everything else
    # here.
    email_message = MIMEMultipart("alternative", boundary=f"part-{identity}")
    email_message["From"] = sender
    email_message["To"] = _address(recipient)
    email_message["Subject"] = subject
    email_message["Date"] = format_datetime(now)
    email_message["Message-ID"] = f"<{identity}@{DOMAIN}>"
    email_message["Auto-Submitted"] = "auto-generated"  # RFC 3834: asks automatic responders not to reply
    email_message.attach(MIMEText(text.strip() + "\n", "plain"))
    email_message.attach(MIMEText(html, "html"))
    return email_message


def _one_line(name: str) -> str:
    return " ".join(_TURNS.sub("", name).split())[:_NAME_MAX]


def _address(recipient: Recipient) -> str:
    """The address without a name: quoting a name in a header is error-prone."""
    if not _ADDRESS.fullmatch(recipient.email) or not recipient.email.isprintable():
        raise AddressNotUsable
    return recipient.email
