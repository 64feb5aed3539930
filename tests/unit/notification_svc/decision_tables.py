"""Examples of each state of notification_svc's aggregates, and all messages that it can then handle."""

from notification_svc.mail import MailStatus
from notification_svc.service import notification_service
from tests.support.decision_tables import DecisionTable, named
from tests.support.messages import (
    CANCELLED,
    CONFIRMED,
    DISPATCHED,
    EMAIL_CHANGED,
    KNOWN_MAILS,
    MAIL_REFUSED,
    MAIL_SUPERSEDED,
    MAIL_TAKEN,
    OTHER_ORDER,
    PART_REFUNDED,
    PASSWORD_CHANGED,
    PROOF_REQUESTED,
    REFUNDED,
    REGISTERED,
    REGISTERED_AGAIN,
    RESET_REQUESTED,
    SEND_MAIL,
    SEND_MAIL_OF_CANCELLED,
    TRACKED,
)

MAILS = DecisionTable(
    "mails",
    notification_service,
    "mails",
    statuses=MailStatus,
    histories={
        "new": [],
        "queued": [CONFIRMED],
        "sent": [CONFIRMED, MAIL_TAKEN],
        "undeliverable": [CONFIRMED, MAIL_REFUSED],
        "superseded": [CONFIRMED.model_copy(update={"order_id": OTHER_ORDER}), SEND_MAIL_OF_CANCELLED],
    },
    around=KNOWN_MAILS,
    messages=named(
        CONFIRMED,
        DISPATCHED,
        TRACKED,
        CANCELLED,
        REFUNDED,
        PART_REFUNDED,
        REGISTERED,
        PROOF_REQUESTED,
        RESET_REQUESTED,
        REGISTERED_AGAIN,
        PASSWORD_CHANGED,
        EMAIL_CHANGED,
        SEND_MAIL,
        (SEND_MAIL_OF_CANCELLED, ", order cancelled since"),
        MAIL_TAKEN,
        MAIL_REFUSED,
        MAIL_SUPERSEDED,
    ),
)

DECISION_TABLES = (MAILS,)
