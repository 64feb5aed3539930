"""The rules of mails: one mail for each notable event, however often the event arrives.

The service sends itself a command to run the mailer; the mailer's result is handled by the same `match`.
"""

from collections.abc import Collection, Mapping
from dataclasses import replace
from uuid import UUID

from chassis.core.decision import Context, Decision, OutOfTurn, RunEffect
from chassis.messaging.message import Event, Message
from contracts import notifications, order_saga, orders, payments, users
from contracts.notifications import MailKind
from contracts.orders import CancelReason
from contracts.values import Money
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
    users.UserRegistered: MailKind.USER_REGISTERED,
    users.AddressProofRequested: MailKind.ADDRESS_PROOF,
    users.PasswordResetRequested: MailKind.PASSWORD_RESET,
    users.RegisteredAgain: MailKind.REGISTERED_AGAIN,
    users.PasswordChanged: MailKind.PASSWORD_CHANGED,
}

# Mails that a newer one contradicts, from when its event is handled: a cancelled order is neither confirmed
# nor on its way. Mails about a final outcome are never dropped.
CONTRADICTED_BY: dict[MailKind, tuple[MailKind, ...]] = {
    MailKind.ORDER_CONFIRMED: (MailKind.ORDER_CANCELLED, MailKind.PAYMENT_REFUNDED),
    MailKind.ORDER_DISPATCHED: (MailKind.ORDER_CANCELLED, MailKind.PAYMENT_REFUNDED),
}
# Mails that stay true but must not arrive after a newer one: dropped once that one is sent.
OVERTAKEN_BY: dict[MailKind, tuple[MailKind, ...]] = {MailKind.ORDER_CONFIRMED: (MailKind.ORDER_DISPATCHED,)}


def key(message: Message) -> str:
    """The key of a mail: its subject and its kind. The event and the command that it causes share it."""
    kind = message.kind if isinstance(message, notifications.SendMail) else KINDS[type(message)]
    return f"{message.subject}:{kind}"


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
            return queue(message, who, amount=total)
        case MailStatus.NEW, orders.OrderDispatched(customer_id=who):
            return queue(message, who)
        case MailStatus.NEW, orders.OrderCancelled(customer_id=who, reason=why):
            return queue(message, who, reason=why)
        case MailStatus.NEW, payments.PaymentRefunded(customer_id=who, amount=amount):
            return queue(message, who, amount=amount)
        case MailStatus.NEW, users.UserRegistered(user_id=who) | users.AddressProofRequested(user_id=who):
            return queue(message, who)
        case MailStatus.NEW, users.PasswordResetRequested(user_id=who) | users.PasswordChanged(user_id=who):
            return queue(message, who)
        case MailStatus.NEW, users.RegisteredAgain(user_id=who):
            return queue(message, who)

        # sending
        case MailStatus.QUEUED, notifications.SendMail() if newer := superseding(mail, context.related):
            return drop(mail, newer)
        case MailStatus.QUEUED, notifications.SendMail():
            return RunEffect(Deliver(mail))
        case MailStatus.QUEUED, Sent():
            return Decision(
                mail.to(MailStatus.SENT), notifications.MailSent(about=mail.about, kind=mail.kind)
            )
        case MailStatus.QUEUED, Deferred():
            return Decision(mail.deferred(message))
        case MailStatus.QUEUED, Superseded(newer):
            return drop(mail, newer)
        case MailStatus.QUEUED, Undeliverable(detail):
            given_up = notifications.MailUndeliverable(about=mail.about, kind=mail.kind, detail=detail)
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
    dropped = notifications.MailSuperseded(about=mail.about, kind=mail.kind, superseded_by=newer)
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
    event: Message, user_id: UUID, *, amount: Money | None = None, reason: CancelReason | None = None
) -> Decision[Mail]:
    about, kind = UUID(event.subject), KINDS[type(event)]
    queued = Mail(MailStatus.QUEUED, about, kind, user_id, amount, reason)
    return Decision(queued, notifications.SendMail(about=about, kind=kind))
