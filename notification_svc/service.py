"""The switchboard of notification_svc: what it hears, and who decides."""

from datetime import timedelta
from uuid import UUID

from chassis.service import KEPT_FOR, Aggregate, Alongside, Deadline, Service
from contracts import notifications
from contracts.notifications import MailKind
from notification_svc import decider
from notification_svc.mail import Mail, Status

OPEN = frozenset({Status.QUEUED})
EFFECTS_MAX = 8


def _try_again(key: str) -> notifications.SendMail:
    """The command to send the mail with this key once more."""
    about, _, kind = key.partition(":")
    return notifications.SendMail(about=UUID(about), kind=MailKind(kind))


def notification_service(kept_for: timedelta = KEPT_FOR) -> Service:
    mails = Aggregate(
        kind="mails",
        start=Mail(),
        decide=decider.decide,
        hears=(*decider.KINDS, notifications.SendMail),
        key=decider.key,
        begun_by=tuple(decider.KINDS),
        # The other mails about the same order tell which news has been heard of it.
        alongside=Alongside("mails", start=lambda key: Mail(), keys=decider.newer_mails, only_read=True),
        indexes=("about", "status"),
        open_statuses=OPEN,
        deadline=Deadline(
            at=lambda mail: mail.retry_at,
            waiting=lambda mail: mail.status is Status.QUEUED and mail.retry_at is not None,
            say=_try_again,
        ),
        kept_for=kept_for,
        ended_statuses=frozenset(Status) - OPEN,
    )
    # Few commands in hand: when the mail server goes away, the rest waits in the broker and not in our memory.
    return Service("notification_svc", (mails,), prefetch_commands=32, effects_max=EFFECTS_MAX, gathers_s=0.1)
