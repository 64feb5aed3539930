"""A message and its dead letter, as a consumer publishes it."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from chassis.core import retry
from chassis.messaging.envelope import WireMessage, wrap
from chassis.messaging.message import Command, Message
from chassis.messaging.senders import senders
from contracts.catalog import CATALOG
from journey.admin.dead_letters.dead_letter import DeadLetter, dead_letter_of
from journey.admin.registry import CONSUMING_SERVICES

NOW = datetime(2026, 3, 1, tzinfo=UTC)


def sent(message: Message, *, age: timedelta = timedelta(0), sender: str = "") -> WireMessage:
    """As the broker delivers it, with the validated user."""
    envelope = wrap(message, id="m-1", source=message.OWNER, now=NOW - age, causation_id="c-1")
    return replace(envelope.wire_message(CATALOG), user_id=sender or senders(type(message))[0])


def given_up(
    service: str, wire_message: WireMessage, *, error: str = "a bug", attempt: int = 4
) -> DeadLetter:
    """The dead letter as it is in the dead-letter queue, with the service itself as the validated user."""
    contract = CATALOG.get(wire_message.type or "")
    queue = f"{service}.{'commands' if contract and issubclass(contract, Command) else 'events'}"
    definition = CONSUMING_SERVICES[service]()
    dead = retry.dead_letter(
        wire_message, RuntimeError(error), queue=queue, service=definition, now=NOW, attempt=attempt
    )
    return dead_letter_of(service, replace(dead, user_id=service))
