"""The rules of mails: one mail for each notable event, however often the event arrives.

The service sends itself a command to run the mailer; the mailer's result is handled by the same `match`.
"""

from collections.abc import Collection, Mapping
from dataclasses import replace
from uuid import UUID

from chassis.core.decision import UNKNOWN_TIME, Context, Decision, OutOfTurn, RunEffect
from chassis.messaging.message import Event, Message
from contracts import notifications, order_saga, orders, payments, users
from contracts.notifications import MailKind
from contracts.orders import CancelReason
from contracts.values import Money, ReturnedLine
from notification_svc.mail import (
    Deferred,
    Deliver,
    DeliveryResult,
    Mail,
    MailStatus,
    Sent,
    Superseded,
    Undeliverable,
)

KINDS: dict[type[Message], MailKind] = {
    **order_saga.MAILS,
    orders.TrackingRecorded: MailKind.ORDER_DISPATCHED,
    users.UserRegistered: MailKind.USER_REGISTERED,
    users.AddressProofRequested: MailKind.ADDRESS_PROOF,
    users.PasswordResetRequested: MailKind.PASSWORD_RESET,
    users.RegisteredAgain: MailKind.REGISTERED_AGAIN,
    users.PasswordChanged: MailKind.PASSWORD_CHANGED,
    users.EmailChanged: MailKind.PASSWORD_CHANGED,  # see MailKind
}

Recalled = notifications.MailSent | notifications.MailSuperseded | notifications.MailUndeliverable

# Mails that a newer one contradicts, from when its event is handled: a cancelled order is neither confirmed
# nor on its way. Mails about a final outcome are never dropped.
CONTRADICTED_BY: dict[MailKind, tuple[MailKind, ...]] = {
    MailKind.ORDER_CONFIRMED: (MailKind.ORDER_CANCELLED, MailKind.PAYMENT_REFUNDED),
    MailKind.ORDER_DISPATCHED: (MailKind.ORDER_CANCELLED, MailKind.PAYMENT_REFUNDED),
}
# Mails that stay true but must not arrive after a newer one: dropped once that one is sent.
OVERTAKEN_BY: dict[MailKind, tuple[MailKind, ...]] = {MailKind.ORDER_CONFIRMED: (MailKind.ORDER_DISPATCHED,)}


def key(message: Message) -> str:
    """The key of a mail: its subject, kind and part. The event and the command that it causes share it."""
    if isinstance(message, notifications.SendMail):
        return mail_key(message.about, message.kind, message.part)
    part = message.refund_id if isinstance(message, payments.PaymentPartRefunded) else None
    return mail_key(message.subject, KINDS[type(message)], part)


def mail_key(about: UUID | str, kind: MailKind, part: UUID | None) -> str:
    return f"{about}:{kind}" + (f":{part}" if part else "")


def recalled_key(event: Recalled) -> str:
    return mail_key(event.about, event.kind, event.part)


def newer_mails(mail: Mail, message: Message | DeliveryResult) -> Collection[str]:
    """The keys of the mails that may supersede the one to be sent."""
    if not isinstance(message, notifications.SendMail):
        return ()
    kinds = CONTRADICTED_BY.get(message.kind, ()) + OVERTAKEN_BY.get(message.kind, ())
    return tuple(f"{message.about}:{kind}" for kind in kinds)


def decide(
    mail: Mail, message: Message | DeliveryResult, context: Context[Mail]
) -> Decision[Mail] | RunEffect:
    """`context.related`: the mails that `newer_mails` names."""
    match mail.status, message:
        # events that cause a mail
        case MailStatus.NEW, orders.OrderConfirmed(customer_id=who, total=total):
            return queue(message, who, context, amount=total)
        case MailStatus.NEW, orders.OrderDispatched(customer_id=who):
            return queue(message, who, context, tracking=mail.tracking)
        case MailStatus.NEW, orders.OrderCancelled(customer_id=who, reason=why):
            return queue(message, who, context, reason=why)
        case MailStatus.NEW, payments.PaymentRefunded(customer_id=who, amount=amount):
            return queue(message, who, context, amount=amount)
        case MailStatus.NEW, payments.PaymentPartRefunded(customer_id=who, amount=amount, refund_id=part):
            return queue(message, who, context, amount=amount, part=part, returned=message.returned)
        case MailStatus.NEW, users.UserRegistered(user_id=who) | users.AddressProofRequested(user_id=who):
            return queue(message, who, context)
        case MailStatus.NEW, users.PasswordResetRequested(user_id=who) | users.PasswordChanged(user_id=who):
            return queue(message, who, context)
        case MailStatus.NEW, users.RegisteredAgain(user_id=who) | users.EmailChanged(user_id=who):
            return queue(message, who, context)

        # what the mail about the dispatch says, too, if it is known before that mail is sent
        case MailStatus.NEW, orders.TrackingRecorded(order_id=about, customer_id=who, tracking=tracking):
            return Decision(Mail(about=about, kind=KINDS[type(message)], user_id=who, tracking=tracking))
        case MailStatus.QUEUED, orders.TrackingRecorded(tracking=tracking):
            return Decision(replace(mail, tracking=tracking))

        # sending
        case MailStatus.QUEUED, notifications.SendMail() if newer := superseding(mail, context.related):
            return drop(mail, newer)
        case MailStatus.QUEUED, notifications.SendMail():
            return RunEffect(Deliver(mail))
        case MailStatus.QUEUED, Sent():
            sent = notifications.MailSent(about=mail.about, kind=mail.kind, part=mail.part)
            return Decision(mail.to(MailStatus.SENT), sent)
        case MailStatus.QUEUED, Deferred():
            return Decision(mail.deferred(message))
        case MailStatus.QUEUED, Superseded(newer):
            return drop(mail, newer)
        case MailStatus.QUEUED, Undeliverable(detail):
            given_up = notifications.MailUndeliverable(
                about=mail.about, kind=mail.kind, part=mail.part, detail=detail
            )
            return Decision(mail.to(MailStatus.UNDELIVERABLE, detail), given_up)

        # a mail is sent only once
        case MailStatus.QUEUED | MailStatus.SENT | MailStatus.UNDELIVERABLE | MailStatus.SUPERSEDED, Event():
            return Decision(mail)
        case (
            MailStatus.SENT | MailStatus.UNDELIVERABLE | MailStatus.SUPERSEDED,
            notifications.SendMail() | Sent() | Undeliverable() | Deferred() | Superseded(),
        ):
            return Decision(mail)
        case _:
            raise OutOfTurn(mail, message)


def drop(mail: Mail, newer: MailKind) -> Decision[Mail]:
    dropped = notifications.MailSuperseded(
        about=mail.about, kind=mail.kind, part=mail.part, superseded_by=newer
    )
    return Decision(replace(mail, status=MailStatus.SUPERSEDED, superseded_by=newer), dropped)


def superseding(mail: Mail, others: Mapping[str, Mail]) -> MailKind | None:
    """The kind of the mail that supersedes this one; None if there is none.

    The order of the events does not matter.
    """
    found = {kind: other.status for kind in MailKind if (other := others.get(f"{mail.about}:{kind}"))}
    for kind in CONTRADICTED_BY.get(mail.kind, ()):
        if found.get(kind, MailStatus.NEW) is not MailStatus.NEW:
            return kind
    for kind in OVERTAKEN_BY.get(mail.kind, ()):
        if found.get(kind) is MailStatus.SENT:
            return kind
    return None


def queue(
    event: Message,
    user_id: UUID,
    context: Context[Mail],
    *,
    amount: Money | None = None,
    reason: CancelReason | None = None,
    tracking: str = "",
    part: UUID | None = None,
    returned: tuple[ReturnedLine, ...] = (),
) -> Decision[Mail]:
    about, kind = UUID(event.subject), KINDS[type(event)]
    caused_at = None if context.sent_at == UNKNOWN_TIME else context.sent_at
    queued = Mail(
        MailStatus.QUEUED,
        about,
        kind,
        user_id,
        amount,
        reason,
        caused_at=caused_at,
        tracking=tracking,
        part=part,
        returned=returned,
    )
    return Decision(queued, notifications.SendMail(about=about, kind=kind, part=part))


def recall(mail: Mail, event: Recalled, _: Context[Mail]) -> Decision[Mail]:
    """What is known again about a mail from notification_svc's own events, after its database was set back.

    A mail that a mail server has accepted must not be sent again. It may be new: the event that caused it is
    older than the journal.
    """
    if mail.status not in (MailStatus.NEW, MailStatus.QUEUED):
        raise OutOfTurn(mail, event)
    known = replace(mail, about=event.about, kind=event.kind, part=event.part)
    match event:
        case notifications.MailSent():
            return Decision(known.to(MailStatus.SENT))
        case notifications.MailUndeliverable(detail=detail):
            return Decision(known.to(MailStatus.UNDELIVERABLE, detail))
        case notifications.MailSuperseded(superseded_by=newer):
            return Decision(replace(known, status=MailStatus.SUPERSEDED, superseded_by=newer))
