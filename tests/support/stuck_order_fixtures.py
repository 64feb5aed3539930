"""Messages about one order and dead letters about it, for the tests about waiting orders."""

from datetime import UTC, datetime, timedelta

from chassis.messaging.envelope import WireMessage
from chassis.messaging.message import Message
from journey.admin.dead_letters.dead_letter import DeadLetter
from journey.admin.diagnosis.pending_messages import SentMessage
from tests.support.messages import ORDER

NOW = datetime(2026, 1, 31, 12, 0, tzinfo=UTC)
BEGAN = NOW - timedelta(minutes=10)
ID = str(ORDER)


def sent_message(contract: type[Message], by: str, *, subject: str = ID, at: datetime = BEGAN) -> SentMessage:
    return SentMessage(f"{contract.__name__} about {subject}", contract.TYPE, subject, at, by)


def dead_letter(service: str, contract: type[Message], *, subject: str = ID) -> DeadLetter:
    emitted = sent_message(contract, contract.OWNER, subject=subject)
    wire_message = WireMessage(
        "dead", service, b"{}", emitted.id, emitted.type, emitted.by, subject, {"subject": subject}
    )
    return DeadLetter(
        service, wire_message, f"{service}.events", "KeyError: 'x'", "KeyError", 4, BEGAN, subject
    )
