"""The cast of the tests about waiting orders: words said about one order, and dead letters about it."""

from datetime import UTC, datetime, timedelta

from contracts.envelope import Parcel
from contracts.message import Message
from journey.awaited import Word
from journey.dead_letters import DeadLetter
from tests.examples import ORDER

NOW = datetime(2026, 1, 31, 12, 0, tzinfo=UTC)
BEGAN = NOW - timedelta(minutes=10)
ID = str(ORDER)


def word(contract: type[Message], by: str, *, subject: str = ID, at: datetime = BEGAN) -> Word:
    return Word(f"{contract.__name__} about {subject}", contract.TYPE, subject, at, by)


def letter(service: str, contract: type[Message], *, subject: str = ID) -> DeadLetter:
    said = word(contract, contract.OWNER, subject=subject)
    parcel = Parcel("dead", service, b"{}", said.id, said.type, said.by, subject, {"subject": subject})
    return DeadLetter(service, parcel, f"{service}.events", "KeyError: 'x'", "KeyError", 4, BEGAN, subject)
