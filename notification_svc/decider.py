"""One mail for each thing that a customer should hear of, however often we hear of it.

The mailer is asked by a command to ourselves; its answer comes back into the same `match`.
"""

from uuid import UUID

from chassis.decision import Ask, Decision, OutOfTurn
from contracts import notifications, orders, payments, users
from contracts.message import Event, Message
from contracts.notifications import MailKind
from contracts.orders import CancelReason
from contracts.values import Money
from notification_svc.mail import Answer, Deferred, Deliver, Mail, Sent, Status, Undeliverable

KINDS: dict[type[Message], MailKind] = {
    orders.OrderConfirmed: MailKind.ORDER_CONFIRMED,
    orders.OrderDispatched: MailKind.ORDER_DISPATCHED,
    orders.OrderCancelled: MailKind.ORDER_CANCELLED,
    payments.PaymentRefunded: MailKind.PAYMENT_REFUNDED,
    users.UserRegistered: MailKind.USER_REGISTERED,
    users.AddressProofRequested: MailKind.ADDRESS_PROOF,
    users.PasswordResetRequested: MailKind.PASSWORD_RESET,
    users.RegisteredAgain: MailKind.REGISTERED_AGAIN,
    users.PasswordChanged: MailKind.PASSWORD_CHANGED,
}


def key(message: Message) -> str:
    """A mail's key: what it is about, and its kind. The event and the command that it leads to share it."""
    kind = message.kind if isinstance(message, notifications.SendMail) else KINDS[type(message)]
    return f"{message.subject}:{kind}"


def decide(mail: Mail, message: Message | Answer) -> Decision[Mail] | Ask:
    match mail.status, message:
        # something that a customer should hear of
        case Status.NEW, orders.OrderConfirmed(customer_id=who, total=total):
            return queue(message, who, amount=total)
        case Status.NEW, orders.OrderDispatched(customer_id=who):
            return queue(message, who)
        case Status.NEW, orders.OrderCancelled(customer_id=who, reason=why):
            return queue(message, who, reason=why)
        case Status.NEW, payments.PaymentRefunded(customer_id=who, amount=amount):
            return queue(message, who, amount=amount)
        case Status.NEW, users.UserRegistered(user_id=who) | users.AddressProofRequested(user_id=who):
            return queue(message, who)
        case Status.NEW, users.PasswordResetRequested(user_id=who) | users.PasswordChanged(user_id=who):
            return queue(message, who)
        case Status.NEW, users.RegisteredAgain(user_id=who):
            return queue(message, who)

        # the post
        case Status.QUEUED, notifications.SendMail():
            return Ask(Deliver(mail))
        case Status.QUEUED, Sent():
            return Decision(mail.to(Status.SENT), notifications.MailSent(about=mail.about, kind=mail.kind))
        case Status.QUEUED, Deferred():
            return Decision(mail.deferred(message))
        case Status.QUEUED, Undeliverable(detail):
            given_up = notifications.MailUndeliverable(about=mail.about, kind=mail.kind, detail=detail)
            return Decision(mail.to(Status.UNDELIVERABLE, detail), given_up)

        # one mail is enough
        case Status.QUEUED | Status.SENT | Status.UNDELIVERABLE, Event():
            return Decision(mail)
        case Status.SENT | Status.UNDELIVERABLE, notifications.SendMail() | Sent() | Undeliverable() | Deferred():
            return Decision(mail)
        case _:
            raise OutOfTurn(mail, message)


def queue(
    event: Message, user_id: UUID, *, amount: Money | None = None, reason: CancelReason | None = None
) -> Decision[Mail]:
    about, kind = UUID(event.subject), KINDS[type(event)]
    queued = Mail(Status.QUEUED, about, kind, user_id, amount, reason)
    return Decision(queued, notifications.SendMail(about=about, kind=kind))
