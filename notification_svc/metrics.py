"""The metrics of mails."""

from datetime import datetime

from chassis.telemetry.instruments import SERVICE, WAIT_S, histogram, own
from notification_svc.mail import Mail, MailStatus

MAIL_DELAY = histogram(
    own("mail_delay_seconds"),
    "From the time of the event that causes a mail until a mail server has accepted the mail",
    labels=(SERVICE,),
    recorded_in="notification_svc/metrics.py",
    buckets=WAIT_S,
)


def observe_mail(before: Mail, after: Mail, now: datetime) -> None:
    """Observe a mail that was sent."""
    if before.status is MailStatus.QUEUED and after.status is MailStatus.SENT and after.caused_at is not None:
        MAIL_DELAY.labels("notification_svc").observe(max(0.0, (now - after.caused_at).total_seconds()))
