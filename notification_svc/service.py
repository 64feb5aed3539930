"""The service definition of notification_svc: the messages that it handles, and its aggregates."""

from datetime import timedelta
from typing import get_args
from uuid import UUID

from chassis.bus.topology_model import QueueBounds
from chassis.core.deadline import Deadline
from chassis.core.definition import (
    DEFAULT_TTL,
    Aggregate,
    EffectLimits,
    RelatedAggregates,
    ServiceDefinition,
)
from chassis.core.recall import Recall
from contracts import notifications, orders, payments, users
from contracts.catalog import CATALOG
from contracts.notifications import MailKind
from notification_svc import decider
from notification_svc.mail import Mail, MailStatus
from notification_svc.metrics import observe_mail

OPEN = frozenset({MailStatus.QUEUED})
EFFECTS_MAX = 8
# Above the sum of the limits in user_client.py and mail_server.py: a mail that the server has taken must not
# be interrupted.
EFFECT_S_MAX = 35.0
# Its input queues may drop their oldest messages: the journal has every event, so `journey backfill` restores
# the mails.
QUEUE_BOUNDS = QueueBounds(messages_max=100_000, bytes_max=256 * 2**20)


def _try_again(key: str) -> notifications.SendMail:
    """The command that retries the mail with this key."""
    about, kind, *part = key.split(":")
    return notifications.SendMail(
        about=UUID(about), kind=MailKind(kind), part=UUID(part[0]) if part else None
    )


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
        indexes=("about", "status", "user_id"),
        open_statuses=OPEN,
        deadline=Deadline(
            at=lambda mail: mail.retry_at,
            waiting=lambda mail: mail.status is MailStatus.QUEUED and mail.retry_at is not None,
            make_command=_try_again,
        ),
        ttl=ttl,
        ended_statuses=frozenset(MailStatus) - OPEN,
        observe=observe_mail,
        recall=Recall(get_args(decider.Recalled), decider.recall, decider.recalled_key),
    )
    # A low prefetch: while the mail server is down, commands wait in the broker and not in memory.
    return ServiceDefinition(
        "notification_svc",
        (mails,),
        catalog=CATALOG,
        prefetch_commands=32,
        effects=EffectLimits(concurrent_max=EFFECTS_MAX, timeout_s=EFFECT_S_MAX),
        queue_bounds=QUEUE_BOUNDS,
        linger_s=0.1,
        # Unknown to release 0.1.0.
        added=(payments.PaymentPartRefunded, orders.TrackingRecorded, users.EmailChanged),
    )
