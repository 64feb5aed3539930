"""The switchboard of notification_svc: what it hears, and who decides."""

from datetime import timedelta

from chassis.service import KEPT_FOR, Aggregate, Service
from contracts import notifications
from notification_svc import decider
from notification_svc.mail import Mail, Status

OPEN = frozenset({Status.QUEUED})


def notification_service(kept_for: timedelta = KEPT_FOR) -> Service:
    mails = Aggregate(
        kind="mails",
        start=Mail(),
        decide=decider.decide,
        hears=(*decider.KINDS, notifications.SendMail),
        key=decider.key,
        begun_by=tuple(decider.KINDS),
        indexes=("about", "status"),
        open_statuses=OPEN,
        kept_for=kept_for,
        ended_statuses=frozenset(Status) - OPEN,
    )
    # Few commands in hand: when the mail server goes away, the rest waits in the broker and not in our memory.
    return Service("notification_svc", (mails,), prefetch_commands=32, effects_max=8, gathers_s=0.1)
