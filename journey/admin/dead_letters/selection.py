"""Filters dead letters, and decides which may be redriven."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import httpx

from chassis.core.decision import Context, OutOfTurn, RunEffect
from chassis.core.definition import Aggregate
from chassis.messaging.catalog import UpcastFailed
from chassis.messaging.envelope import Malformed, parse
from chassis.messaging.message import Message
from chassis.messaging.partitions import input_queue_of
from contracts.catalog import CATALOG
from journey.admin.dead_letters.dead_letter import DeadLetter
from journey.admin.dead_letters.groups import error_in_general
from journey.admin.registry import CONSUMING_SERVICES


@dataclass(frozen=True)
class DeadLetterFilter:
    """Selects dead letters. Empty fields match everything."""

    ids: frozenset[str] = frozenset()
    type: str = ""
    error: str = ""

    @property
    def narrows(self) -> bool:
        return bool(self.ids or self.type or self.error)

    def matches(self, dead_letter: DeadLetter) -> bool:
        contract = CATALOG.get(dead_letter.type)
        names = {dead_letter.type, contract.__name__ if contract else dead_letter.type}
        errors = (dead_letter.error.lower(), error_in_general(dead_letter).lower())
        return (
            (not self.ids or dead_letter.id in self.ids)
            and (not self.type or self.type in names)
            and (not self.error or any(self.error.lower() in error for error in errors))
        )


async def redrive_blocker(
    dead_letter: DeadLetter, http: httpx.AsyncClient, addresses: Mapping[str, str], now: datetime
) -> str:
    """Why a dead letter may not be redriven; empty if it may.

    An operator may send anything, so the message is validated again as it first arrived, with its original
    sender. It may only go to its own service's input queues, because a service writes the headers of its dead
    letters itself.
    """
    service = CONSUMING_SERVICES[dead_letter.service]()
    if input_queue_of(dead_letter.origin_queue) not in (service.events_queue, service.commands_queue):
        return (
            f"it came from {dead_letter.origin_queue or 'an unknown queue'}, which is not a queue of "
            f"{service.name}"
        )
    try:
        _, message = parse(dead_letter.message_at_failure, CATALOG, reader=service.name)
        if type(message) not in service.by_type:
            return f"{service.name} no longer consumes {dead_letter.type}"
        message = service.as_handled(message)
    except (Malformed, UpcastFailed) as error:
        return f"it would be rejected again: {error}"
    return await _past_horizon(dead_letter, message, http, addresses, now)


async def _past_horizon(
    dead_letter: DeadLetter,
    message: Message,
    http: httpx.AsyncClient,
    addresses: Mapping[str, str],
    now: datetime,
) -> str:
    if message.HORIZON is None or (dead_letter.sent_at and now - dead_letter.sent_at <= message.HORIZON):
        return ""
    late = (
        f"it was sent more than {message.HORIZON / timedelta(hours=1):.0f} h ago, its effect must not be "
        "repeated"
    )
    aggregate = CONSUMING_SERVICES[dead_letter.service]().by_type[type(message)]
    try:
        response = await http.get(f"{addresses[dead_letter.service]}/{aggregate.kind}/{message.subject}")
        view = {} if response.status_code == 404 else response.raise_for_status().json()
        if view and waits_for(message, aggregate, view):
            return ""
    except (httpx.HTTPError, ValueError) as error:  # ValueError: a state of a later release
        return (
            f"{late}, and {dead_letter.service} cannot tell whether it still waits for it "
            f"({type(error).__name__})"
        )
    status = view.get("status", "unknown")
    return f"{late}, and {message.subject} does not wait for it: its status in {aggregate.kind} is {status}"


def waits_for(message: Message, aggregate: Aggregate[Any], view: Mapping[str, Any]) -> bool:
    """Whether this command makes the aggregate request an effect, found by running its decider.

    `view`: the aggregate as its service shows it, with the names of its state. More than the status counts: a
    captured payment may wait for the refund of a part, or for the release of its card. Raises ValueError if
    the view cannot be read.
    """
    state = aggregate.codec.load(view)
    try:
        return isinstance(aggregate.decide(state, message, Context()), RunEffect)
    except OutOfTurn:
        return False
