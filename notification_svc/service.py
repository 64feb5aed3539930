"""The service definition of notification_svc: the messages that it handles, and its aggregates."""

from datetime import timedelta
from uuid import UUID

from chassis.bus.topology_model import QueueBounds
from chassis.core.definition import DEFAULT_TTL, Aggregate, Deadline, RelatedAggregates, ServiceDefinition
from contracts import notifications
from contracts.catalog import CATALOG
from contracts.notifications import MailKind
from notification_svc import decider
from notification_svc.mail import Mail, MailStatus

OPEN = frozenset({MailStatus.QUEUED})
EFFECTS_MAX = 8
# Its inboxes may drop their oldest messages: the journal has every event, so `journey backfill` restores the
# mails.
QUEUE_BOUNDS = QueueBounds(messages_max=100_000, bytes_max=256 * 2**20)


def _try_again(key: str) -> notifications.SendMail:
    """The command that retries the mail with this key."""
    about, _, kind = key.partition(":")
    return notifications.SendMail(about=UUID(about), kind=MailKind(kind))


def notification_service(ttl: timedelta = DEFAULT_TTL) -> ServiceDefinition:
    mails = Aggregate(
        kind="mails",
        start=Mail(),
        decide=decider.decide,
        handles=(*decider.KINDS, notifications.SendMail),
        key=decider.key,
        created_by=tuple(decider.KINDS),
        # The other mails about the same order show which of its events have been handled.
        related=RelatedAggregates(
            "mails", start=lambda key: Mail(), keys=decider.newer_mails, read_only=True
        ),
        indexes=("about", "status"),
        open_statuses=OPEN,
        deadline=Deadline(
            at=lambda mail: mail.retry_at,
            waiting=lambda mail: mail.status is MailStatus.QUEUED and mail.retry_at is not None,
            make_command=_try_again,
        ),
        ttl=ttl,
        ended_statuses=frozenset(MailStatus) - OPEN,
    )
    # A low prefetch: while the mail server is down, commands wait in the broker and not in memory.
    return ServiceDefinition(
        "notification_svc",
        (mails,),
        catalog=CATALOG,
        prefetch_commands=32,
        effects_max=EFFECTS_MAX,
        queue_bounds=QUEUE_BOUNDS,
        linger_s=0.1,
    )
