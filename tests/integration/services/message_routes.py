"""Every route on which a broker user could send a message to a consumer,
from the topology and the contracts.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from chassis.bus.retry_ladder import REJECTED, RetryLadder
from chassis.messaging.envelope import WireMessage
from chassis.messaging.message import Command, Message
from chassis.messaging.senders import CLIENT, OPERATOR, senders
from chassis.messaging.topology_names import input_queue
from contracts.catalog import CATALOG, NAMES
from contracts.orders import PlaceOrder
from journey.admin.registry import CONSUMING_SERVICES

LADDER = RetryLadder().names

SERVICES = {name: make() for name, make in CONSUMING_SERVICES.items()}
TYPES = tuple(contract for _, contract in sorted(CATALOG.items()))


@dataclass(frozen=True)
class Case:
    """One message of `contract` by `user`, on one route. Its message id identifies it."""

    user: str
    contract: type[Message]
    way: str

    @property
    def id(self) -> str:
        return f"{self.user} {self.contract.TYPE} {self.way}"

    @property
    def reader(self) -> str:
        """A service that consumes it; its owner if none does."""
        hearing = (name for name, service in SERVICES.items() if self.contract in service.by_type)
        return next(hearing, self.contract.OWNER)

    @property
    def consumed(self) -> bool:
        return self.contract in SERVICES[self.reader].by_type

    @property
    def home(self) -> str:
        return NAMES.commands if issubclass(self.contract, Command) else NAMES.events

    @property
    def queue(self) -> str:
        return input_queue(self.reader, self.contract)

    @property
    def cover(self) -> type[Message]:
        """Another type that the user may send, through the same exchange if possible."""
        others = [
            each for each in CATALOG.sent_by(CATALOG.role_of(self.user)) or TYPES if each is not self.contract
        ] or TYPES
        same = [each for each in others if issubclass(each, Command) == issubclass(self.contract, Command)]
        return (same or others)[0]

    @property
    def claims(self) -> dict[str, Any]:
        """Headers that would make a forged message look like one that was validated before."""
        origin = {"origin_user": senders(self.contract)[0], "origin_exchange": self.home}
        return {
            "attempt": 1,
            "postponed": 1,
            "origin_key": self.contract.TYPE,
            "origin_queue": self.queue,
            **origin,
        }

    def wire_message(self) -> WireMessage:
        exchange, key, headers = WAYS[self.way](self)
        return WireMessage(exchange, key, b"{}", self.id, self.contract.TYPE, "test", None, headers)

    @property
    def user_id(self) -> str | None:
        """Its own claim. The broker rejects any name other than the user's."""
        return {"without user_id": "", "in another's name": senders(self.contract)[0]}.get(
            self.way, self.user
        )


Address = tuple[str, str, dict[str, Any]]


def _covered(case: Case, **headers: Any) -> Address:
    exchange = NAMES.commands if issubclass(case.cover, Command) else NAMES.events
    return exchange, case.cover.TYPE, headers


def _rung(name: str) -> Callable[[Case], Address]:
    return lambda case: (name, case.queue, case.claims)


def _beside(case: Case) -> str:
    """The user's own queue, if it is a service."""
    return f"{case.user if case.user in SERVICES else case.reader}.events"


WAYS: dict[str, Callable[[Case], Address]] = {
    "plain": lambda case: (case.home, case.contract.TYPE, {}),
    "with the headers of a hop": lambda case: (case.home, case.contract.TYPE, case.claims),
    "with a death of its own": lambda case: (
        case.home,
        case.contract.TYPE,
        {"x-death": [{"queue": case.queue}]},
    ),
    "without user_id": lambda case: (case.home, case.contract.TYPE, {}),
    "in another's name": lambda case: (case.home, case.contract.TYPE, {}),
    "disguised": lambda case: _covered(case),
    "CC": lambda case: _covered(case, CC=[case.contract.TYPE]),
    "BCC": lambda case: _covered(case, BCC=[case.contract.TYPE]),
    "CC of itself": lambda case: (case.home, case.contract.TYPE, {"CC": [case.contract.TYPE]}),
    "the other exchange": lambda case: (
        NAMES.events if case.home == NAMES.commands else NAMES.commands,
        case.contract.TYPE,
        {},
    ),
    "straight into the queue": lambda case: ("", case.queue, {}),
    "straight, as if handed back": lambda case: ("", case.queue, case.claims),
    "straight, with CC": lambda case: ("", _beside(case), {"CC": [case.queue], **case.claims}),
    "reply-to": lambda case: ("", "amq.rabbitmq.reply-to", case.claims),
    **{rung: _rung(rung) for rung in LADDER},
    "the ladder, with CC": lambda case: (LADDER[0], _beside(case), {"CC": [case.queue], **case.claims}),
    "the ladder, with BCC": lambda case: (LADDER[0], _beside(case), {"BCC": [case.queue], **case.claims}),
    "the dead letters": lambda case: (NAMES.dead, case.reader, case.claims),
    "the rejected messages": lambda case: (NAMES.dead, f"{case.reader}.{REJECTED}", case.claims),
    "the dead letters, with CC": lambda case: (
        NAMES.dead,
        case.user if case.user in SERVICES else "no_svc",
        {"CC": [case.reader], **case.claims},
    ),
    "the dead letters, as the broker's": lambda case: (
        NAMES.dead,
        case.reader,
        {
            "x-death": [
                {
                    "queue": case.queue,
                    "reason": "delivery_limit",
                    "exchange": case.home,
                    "routing-keys": [case.contract.TYPE],
                }
            ],
            **case.claims,
        },
    ),
    "unroutable": lambda case: (NAMES.unroutable, case.contract.TYPE, case.claims),
}


def cases(users: tuple[str, ...]) -> Iterator[Case]:
    for user in users:
        for contract in TYPES:
            for way in WAYS:
                yield Case(user, contract, way)


def permitted(case: Case) -> bool:
    """Whether the user may send the type at all. A client program may send PlaceOrder only."""
    if case.user.startswith(f"{CLIENT}."):
        return case.contract is PlaceOrder
    return case.user in senders(case.contract)


def rightful(case: Case) -> bool:
    """Whether a service may accept the message: the rules once more, written independently of the code."""
    user = case.user
    if case.way in ("plain", "with the headers of a hop"):
        return permitted(case) and case.consumed
    if case.way == "in another's name":
        # then the message has the user's own name
        return case.user == senders(case.contract)[0] and case.consumed
    # The operator may return messages of others. A service may forge messages to itself, which gains it
    # nothing.
    itself = user in SERVICES and case.contract in SERVICES[user].by_type
    rules = {
        "straight, as if handed back": user == OPERATOR,
        **dict.fromkeys(LADDER, user in (OPERATOR, case.reader)),
        "the ladder, with BCC": case.home == NAMES.events and (user == OPERATOR or itself),
        "the dead letters": user == case.reader,
        "the rejected messages": user == case.reader,
        "the dead letters, with CC": user == case.reader,
        "the dead letters, as the broker's": permitted(case) and user in (OPERATOR, case.reader),
    }
    return case.consumed and rules.get(case.way, False)


def rightful_in_the_journal(case: Case) -> bool:
    """Streams keep no headers that are lists, so readers cannot see copies.

    But the key must still match the type.
    """
    plain = ("plain", "with the headers of a hop", "with a death of its own", "CC of itself")
    own_name = case.way == "in another's name" and case.user == senders(case.contract)[0]
    return case.home == NAMES.events and permitted(case) and (case.way in plain or own_name)
