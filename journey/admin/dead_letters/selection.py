"""Groups and filters dead letters, and decides which may be redriven."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

import httpx

from chassis.core.decision import Context, OutOfTurn, RunEffect
from chassis.core.definition import Aggregate
from chassis.messaging.envelope import Malformed, parse
from chassis.messaging.message import REGISTRY, Message
from chassis.messaging.untrusted import shortened
from journey.admin.dead_letters.dead_letter import DeadLetter
from journey.admin.registry import CONSUMING_SERVICES

_VARIES = re.compile(r"[0-9a-fA-F]{8}-(?:[0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}|\b(?:0x[0-9a-fA-F]+|\d+)\b")
_ERROR_CHARS_MAX = 200
_GROUPS_MAX = 1_000


@dataclass
class DeadLetterGroup:
    """Dead letters of one service and type with the same error.

    `names`: (id, journey id) of each, if kept.
    """

    service: str
    type: str
    error: str
    oldest: DeadLetter
    count: int = 0
    names: list[tuple[str, str]] = field(default_factory=list)


def error_in_general(letter: DeadLetter) -> str:
    """The error without ids and numbers, so that one bug forms one group."""
    first = letter.error.partition("\n")[0]
    return _VARIES.sub("…", first)[:_ERROR_CHARS_MAX]


class Groups:
    """Groups letters by service, type and error.

    Beyond `_GROUPS_MAX`, further letters form one group per service.
    """

    def __init__(self, *, keep_names: bool = False) -> None:
        self._groups: dict[tuple[str, str, str], DeadLetterGroup] = {}
        self._keep_names = keep_names

    def add(self, letter: DeadLetter) -> None:
        key = (letter.service, shortened(letter.type), error_in_general(letter))
        if key not in self._groups and len(self._groups) >= _GROUPS_MAX:
            key = (letter.service, "(other types)", "(other errors)")
        if (group := self._groups.get(key)) is None:
            group = self._groups[key] = DeadLetterGroup(*key, letter.brief)
        group.count += 1
        if letter.sort_key() < group.oldest.sort_key():
            group.oldest = letter.brief
        if self._keep_names:
            group.names.append((shortened(letter.id), letter.journey_id))

    def sorted(self) -> list[DeadLetterGroup]:
        """By service, then by size, largest first."""
        return sorted(self._groups.values(), key=lambda group: (group.service, -group.count, group.type))


def group_dead_letters(letters: Iterable[DeadLetter]) -> list[DeadLetterGroup]:
    groups = Groups()
    for letter in letters:
        groups.add(letter)
    return groups.sorted()


@dataclass(frozen=True)
class DeadLetterFilter:
    """Selects letters. Empty fields match everything."""

    ids: frozenset[str] = frozenset()
    type: str = ""
    error: str = ""

    @property
    def narrows(self) -> bool:
        return bool(self.ids or self.type or self.error)

    def matches(self, letter: DeadLetter) -> bool:
        contract = REGISTRY.get(letter.type)
        names = {letter.type, contract.__name__ if contract else letter.type}
        errors = (letter.error.lower(), error_in_general(letter).lower())
        return (
            (not self.ids or letter.id in self.ids)
            and (not self.type or self.type in names)
            and (not self.error or any(self.error.lower() in error for error in errors))
        )


async def redrive_blocker(
    letter: DeadLetter, http: httpx.AsyncClient, addresses: Mapping[str, str], now: datetime
) -> str:
    """Why a letter may not be redriven; empty if it may.

    An operator may send anything, so the letter is validated again as it first arrived, with its original
    sender. It may only go to its own service's inboxes, because a service writes the headers of its dead
    letters itself.
    """
    service = CONSUMING_SERVICES[letter.service]()
    if letter.origin_queue not in (service.events_queue, service.commands_queue):
        return (
            f"it came from {letter.origin_queue or 'an unknown queue'}, which is "
            "not a queue of "
            f"{service.name}"
        )
    try:
        _, message = parse(letter.message_at_failure, reader=service.name)
    except Malformed as error:
        return f"it would be rejected again: {error}"
    if type(message) not in service.by_type:
        return f"{service.name} no longer consumes {letter.type}"
    return await _past_horizon(letter, message, http, addresses, now)


async def _past_horizon(
    letter: DeadLetter, message: Message, http: httpx.AsyncClient, addresses: Mapping[str, str], now: datetime
) -> str:
    if message.HORIZON is None or (letter.said_at and now - letter.said_at <= message.HORIZON):
        return ""
    late = (
        f"it was sent more than {message.HORIZON / timedelta(hours=1):.0f} h ago, its "
        "effect must not "
        "be repeated"
    )
    aggregate = CONSUMING_SERVICES[letter.service]().by_type[type(message)]
    try:
        answer = await http.get(f"{addresses[letter.service]}/{aggregate.kind}/{message.subject}")
        status = "unknown" if answer.status_code == 404 else answer.raise_for_status().json()["status"]
    except httpx.HTTPError as error:
        return (
            f"{late}, and {letter.service} cannot tell whether it still waits for it ({type(error).__name__})"
        )
    if status in statuses_that_wait_for(message, aggregate):
        return ""
    return f"{late}, and {message.subject} does not wait for it: its status in {aggregate.kind} is {status}"


def statuses_that_wait_for(message: Message, aggregate: Aggregate[Any]) -> frozenset[str]:
    """The statuses in which this command makes the aggregate request an effect,
    found by running its decider.
    """
    return frozenset(
        str(status) for status in type(aggregate.start.status) if _asks(aggregate, status, message)
    )


def _asks(aggregate: Aggregate[Any], status: StrEnum, message: Message) -> bool:
    try:
        return isinstance(
            aggregate.decide(replace(aggregate.start, status=status), message, Context()), RunEffect
        )
    except OutOfTurn:
        return False
