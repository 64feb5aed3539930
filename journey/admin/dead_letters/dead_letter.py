"""A dead letter: the message, and why, when and from which queue it was dead-lettered, by its headers."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import cached_property
from typing import Any

from chassis.bus.retry_ladder import DEAD, REJECTED
from chassis.core.retry import LEFT_OUT
from chassis.messaging.envelope import WireMessage
from chassis.messaging.identity import derived_id
from chassis.messaging.origin import COPYING_HEADERS, HANDED_BACK, HOP_HEADERS, Origin, origin_before
from chassis.messaging.partitions import input_queue_of
from chassis.messaging.untrusted import NAME_BYTES_MAX, shortened, text
from contracts.catalog import CATALOG, NAMES
from journey.admin.dead_letters.broker_deaths import BY_BROKER, broker_death, origin_by_broker
from journey.admin.text_sanitizer import headers_shown

_NEVER = datetime.min.replace(tzinfo=UTC)


# Headers that are added when a message fails; without them the message is as it was first sent.
FAILURE_HEADERS = HOP_HEADERS | {"error", "error_type", "trace", "origin_queue", "died_at", LEFT_OUT}


@dataclass(frozen=True)
class DeadLetter:
    """A message that `service` dead-lettered.

    `wire_message`: the message as stored in the dead-letter queue.
    """

    service: str
    wire_message: WireMessage
    origin_queue: str
    error: str
    error_type: str
    attempts: int
    died_at: datetime | None
    journey_id: str
    # The broker's x-death entry, if the broker dead-lettered it.
    death: Mapping[str, Any] | None = None

    @property
    def queue(self) -> str:
        """The queue that holds it: rejected messages of clients have a queue of their own."""
        rejected = f"{self.service}.{REJECTED}"
        route = self.wire_message.exchange, self.wire_message.routing_key
        is_rejected = route == (NAMES.dead, rejected)
        return rejected if is_rejected else f"{self.service}.{DEAD}"

    def sort_key(self) -> datetime:
        """The time of death; dead letters without one come first."""
        return self.died_at or _NEVER

    @property
    def by_broker(self) -> bool:
        return self.death is not None

    @cached_property
    def id(self) -> str:
        """The message id. A message without one gets an id derived from its content,
        so that commands can select it.
        """
        return self.wire_message.message_id or derived_id(
            self.service, self.origin_queue, self.died_at, self.wire_message.body
        )

    @property
    def type(self) -> str:
        return self.wire_message.type or "(no type)"

    @property
    def brief(self) -> "DeadLetter":
        """A copy without body and headers, for long lists of selected or settled dead letters."""
        return replace(
            self,
            wire_message=replace(self.wire_message, message_id=self.id, headers={}, body=b""),
            death=None,
        )

    @property
    def trace(self) -> str:
        return str(self.wire_message.headers.get("trace", ""))

    @property
    def subject(self) -> str:
        """The message's subject, as its unverified header says."""
        return shortened(text(self.wire_message.headers.get("subject"), NAME_BYTES_MAX))

    @property
    def headers_shown(self) -> dict[str, str]:
        """The headers for display, without the error and its traceback."""
        return {
            name: text
            for name, text in headers_shown(self.wire_message.headers).items()
            if name not in ("error", "trace")
        }

    @property
    def sent_at(self) -> datetime | None:
        """When the message was first published, as its unverified header says."""
        return _time(self.wire_message.headers.get("time"))

    @cached_property
    def origin(self) -> Origin:
        """How it first arrived at the service, by the most trustworthy source: the broker,
        else the service.
        """
        if self.death is not None:
            return origin_by_broker(self.service, self.wire_message, self.death)
        if self.wire_message.user_id != self.service:  # put here manually, or by another service
            return Origin(
                self.wire_message.user_id or "", self.wire_message.exchange, self.wire_message.routing_key
            )
        origin = Origin.of(_as_handed_back(self.wire_message), self.service)
        return origin if origin.key else self._origin_without_key(origin.user)

    def _origin_without_key(self, user: str) -> Origin:
        """An earlier version stored only the user: for a message from the retry ladder,
        the service itself.
        """
        contract = CATALOG.get(self.type)
        if contract is None:
            return Origin(user, "", "")
        recorded = origin_before(contract, NAMES)
        climbed = user == self.service and (
            self.attempts > 1 or _as_handed_back(self.wire_message).postponed > 0
        )
        return recorded if climbed else replace(recorded, user=user)

    @property
    def message_at_failure(self) -> WireMessage:
        """The message as it first arrived, with the sender's `user_id` as the broker validated it then."""
        origin = self.origin
        headers = self._own_headers | ({origin.detour: ""} if origin.detour else {})
        return replace(
            self.original_message,
            exchange=origin.exchange,
            routing_key=origin.key,
            headers=headers,
            user_id=origin.user,
        )

    @property
    def original_message(self) -> WireMessage:
        """The message as it was first sent, byte for byte, routed only to the queue that it came from.

        If that was a partition, which may be gone, it goes to the first one.
        Its headers hold its origin, which the service validates again.
        """
        return replace(
            self.wire_message,
            exchange=HANDED_BACK,
            routing_key=input_queue_of(self.origin_queue),
            message_id=self.id,
            headers=self._own_headers | self.origin.headers(),
            user_id=None,
        )

    @property
    def _own_headers(self) -> dict[str, Any]:
        return {
            key: value
            for key, value in self.wire_message.headers.items()
            if key not in FAILURE_HEADERS and not key.startswith("x-") and key.lower() not in COPYING_HEADERS
        }


def dead_letter_of(service: str, wire_message: WireMessage) -> DeadLetter:
    """Parse the headers of a message in a service's dead-letter queue."""
    headers = wire_message.headers
    if death := broker_death(service, headers):
        reason = str(death.get("reason", ""))
        return DeadLetter(
            service,
            wire_message,
            origin_queue=str(death.get("queue", "")),
            error=BY_BROKER.get(reason, f"the broker dead-lettered it: {reason}"),
            error_type=reason,
            attempts=replace(wire_message, exchange=str(death.get("exchange", ""))).attempt,
            died_at=_time(death.get("time")),
            journey_id=_journey(wire_message),
            death=death,
        )
    return DeadLetter(
        service,
        wire_message,
        origin_queue=str(headers.get("origin_queue", "")),
        error=str(headers.get("error", "unknown: it was put here manually")),
        error_type=str(headers.get("error_type", "")),
        attempts=_as_handed_back(wire_message).attempt,
        died_at=_time(headers.get("died_at")),
        journey_id=_journey(wire_message),
    )


def _as_handed_back(wire_message: WireMessage) -> WireMessage:
    """As it would arrive if its service handed it back: so its headers of the retry ladder count."""
    return replace(wire_message, exchange=HANDED_BACK)


def _time(value: object) -> datetime | None:
    try:
        at = value if isinstance(value, datetime) else datetime.fromisoformat(str(value))
    except ValueError:
        return None
    return at if at.tzinfo else at.replace(tzinfo=UTC)


def _journey(wire_message: WireMessage) -> str:
    """The journey id, by the same rule as in handling: without a correlation id,
    the subject is the journey id.
    """
    known = wire_message.correlation_id or text(wire_message.headers.get("subject"), NAME_BYTES_MAX)
    contract = CATALOG.get(wire_message.type or "")
    if known or contract is None:
        return shortened(known)
    try:
        body = json.loads(wire_message.body)
    except (ValueError, RecursionError):
        return ""
    named = body.get(contract.SUBJECT) if isinstance(body, dict) else None
    return shortened(named) if isinstance(named, str | int) else ""
