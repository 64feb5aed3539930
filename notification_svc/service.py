"""The switchboard of notification_svc: what it hears, and who decides."""

from chassis.service import Aggregate, Service
from contracts import notifications
from notification_svc import decider
from notification_svc.mail import Mail, Status


def notification_service() -> Service:
    mails = Aggregate(
        kind="mails",
        start=Mail(),
        decide=decider.decide,
        hears=(*decider.KINDS, notifications.SendMail),
        key=decider.key,
        begun_by=tuple(decider.KINDS),
        indexes=("about", "status"),
        open_statuses=frozenset({Status.QUEUED}),
    )
    # Few commands in hand: when the mail server goes away, the rest waits in the broker and not in our memory.
    return Service("notification_svc", (mails,), prefetch_commands=32, effects_max=8, gathers_s=0.1)
