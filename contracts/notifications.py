"""The commands and events of notification_svc. Messages never contain an e-mail address."""

from enum import StrEnum

from chassis.messaging.message import Command, Event, Owner, Sender
from contracts.values import Id

NOTIFICATION = Owner("notification", service="notification_svc")


class MailKind(StrEnum):
    """The kinds of mail. At most one mail is sent per subject and kind, and for each `part`:
    the id of a refund of a part of the order.

    `password_changed` is also the notice to the former address of a changed e-mail address: release 0.1.0
    rejects a value that it does not know.
    """

    ORDER_CONFIRMED = "order_confirmed"
    ORDER_DISPATCHED = "order_dispatched"
    ORDER_CANCELLED = "order_cancelled"
    PAYMENT_REFUNDED = "payment_refunded"
    USER_REGISTERED = "user_registered"
    ADDRESS_PROOF = "address_proof"
    PASSWORD_RESET = "password_reset"
    REGISTERED_AGAIN = "registered_again"
    PASSWORD_CHANGED = "password_changed"


class SendMail(
    Command, owner=NOTIFICATION, type="notification.send_mail.v1", subject="about", sender=Sender.SELF
):
    """Send the mail that is due for this order or user."""

    about: Id
    kind: MailKind
    part: Id | None = None


class MailSent(Event, owner=NOTIFICATION, type="notification.mail_sent.v1", subject="about"):
    """A mail server has accepted the mail."""

    about: Id
    kind: MailKind
    part: Id | None = None


class MailSuperseded(Event, owner=NOTIFICATION, type="notification.mail_superseded.v1", subject="about"):
    """The mail is dropped, because a newer event of the same order or account has a mail of its own.

    `superseded_by` is its own kind if the same mail was requested again, or if it has become pointless.
    """

    about: Id
    kind: MailKind
    part: Id | None = None
    superseded_by: MailKind


class MailUndeliverable(
    Event, owner=NOTIFICATION, type="notification.mail_undeliverable.v1", subject="about"
):
    """The mail will never be sent: the user is gone, or the mail server rejected it permanently."""

    about: Id
    kind: MailKind
    part: Id | None = None
    detail: str
