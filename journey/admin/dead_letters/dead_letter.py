"""A dead letter: the message, and what its headers say about why, when and from which queue it came."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import cached_property
from typing import Any

from chassis.core.retry import DEAD, LEFT_OUT, REJECTED
from contracts.envelope import WireMessage
from contracts.identity import derived_id
from contracts.message import REGISTRY
from contracts.origin import COPYING_HEADERS, HANDED_BACK, HOP_HEADERS, Origin, origin_before
from contracts.untrusted import NAME_BYTES_MAX, shortened, text
from journey.admin.dead_letters.broker_deaths import BY_BROKER, broker_death, origin_by_broker
from journey.admin.text_sanitizer import headers_shown

_NEVER = datetime.min.replace(tzinfo=UTC)


# What is written into a message's headers when it fails; without it the message is as it was first sent.
FAILURE_HEADERS = HOP_HEADERS | {"error", "error_type", "trace", "origin_queue", "died_at", LEFT_OUT}


@dataclass(frozen=True)
class DeadLetter:
    """A message that `service` gave up, and why. `parcel` is as it lies in the dead queue."""

    service: str
    wire_message: WireMessage
    origin_queue: str
    error: str
    error_type: str
    attempts: int
    died_at: datetime | None
    journey_id: str
    # What the broker wrote about it, if it was the broker that gave it up.
    death: Mapping[str, Any] | None = None

    @property
    def queue(self) -> str:
        """Where it lies. What a stranger sent in vain lies apart from the other dead letters."""
        rejected = f"{self.service}.{REJECTED}"
        is_rejected = (self.wire_message.exchange, self.wire_message.routing_key) == (DEAD, rejected)
        return rejected if is_rejected else f"{self.service}.{DEAD}"

    def sort_key(self) -> datetime:
        """The time of death; a letter without one comes first."""
        return self.died_at or _NEVER

    @property
    def by_broker(self) -> bool:
        return self.death is not None

    @cached_property
    def id(self) -> str:
        """The message's id. A message without one is named after what it is, so that it can be pointed at too."""
        return self.wire_message.message_id or derived_id(
            self.service, self.origin_queue, self.died_at, self.wire_message.body
        )

    @property
    def type(self) -> str:
        return self.wire_message.type or "(no type)"

    @property
    def brief(self) -> "DeadLetter":
        """The same without body and headers, for long lists of letters that are chosen or gone."""
        return replace(
            self, wire_message=replace(self.wire_message, message_id=self.id, headers={}, body=b""), death=None
        )

    @property
    def trace(self) -> str:
        return str(self.wire_message.headers.get("trace", ""))

    @property
    def subject(self) -> str:
        """What the message is about, by its own word."""
        return shortened(text(self.wire_message.headers.get("subject"), NAME_BYTES_MAX))

    @property
    def headers_shown(self) -> dict[str, str]:
        """The headers as a person reads them, without the error and its trace."""
        return {
            name: text
            for name, text in headers_shown(self.wire_message.headers).items()
            if name not in ("error", "trace")
        }

    @property
    def said_at(self) -> datetime | None:
        """When the message was first said, by its own word."""
        return _time(self.wire_message.headers.get("time"))

    @cached_property
    def origin(self) -> Origin:
        """How it first arrived at the service, as far as somebody who may be believed says so."""
        if self.death is not None:
            return origin_by_broker(self.service, self.wire_message, self.death)
        if self.wire_message.user_id != self.service:  # put here by hand, or by another service
            return Origin(self.wire_message.user_id or "", self.wire_message.exchange, self.wire_message.routing_key)
        origin = Origin.of(replace(self.wire_message, exchange=HANDED_BACK), self.service)
        return origin if origin.key else self._origin_without_key(origin.user)

    def _origin_without_key(self, user: str) -> Origin:
        """An earlier version kept the user only: of a message that had been on the ladder, the service itself."""
        contract = REGISTRY.get(self.type)
        if contract is None:
            return Origin(user, "", "")
        told = origin_before(contract)
        climbed = user == self.service and (self.attempts > 1 or self.wire_message.postponed > 0)
        return told if climbed else replace(told, user=user)

    @property
    def message_at_failure(self) -> WireMessage:
        """The message as it first arrived, with the sender whom the broker vouched for then."""
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
        """The message as it was first sent, byte for byte, addressed to the queue that it came from and no other.

        Its headers say how it first arrived: the service that gets it back checks that again.
        """
        return replace(
            self.wire_message,
            exchange=HANDED_BACK,
            routing_key=self.origin_queue,
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
    """Read the headers of what lies in the dead queue of a service."""
    headers = wire_message.headers
    if death := broker_death(service, headers):
        reason = str(death.get("reason", ""))
        return DeadLetter(
            service,
            wire_message,
            origin_queue=str(death.get("queue", "")),
            error=BY_BROKER.get(reason, f"the broker gave it up: {reason}"),
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
        error=str(headers.get("error", "unknown: it was put here by hand")),
        error_type=str(headers.get("error_type", "")),
        attempts=wire_message.attempt,
        died_at=_time(headers.get("died_at")),
        journey_id=_journey(wire_message),
    )


def _time(value: object) -> datetime | None:
    try:
        at = value if isinstance(value, datetime) else datetime.fromisoformat(str(value))
    except ValueError:
        return None
    return at if at.tzinfo else at.replace(tzinfo=UTC)


def _journey(wire_message: WireMessage) -> str:
    """The same rule as when the message is handled: a message without a correlation id begins its subject's journey."""
    known = wire_message.correlation_id or text(wire_message.headers.get("subject"), NAME_BYTES_MAX)
    if known or wire_message.type not in REGISTRY:
        return shortened(known)
    try:
        body = json.loads(wire_message.body)
    except (ValueError, RecursionError):
        return ""
    named = body.get(REGISTRY[wire_message.type].SUBJECT) if isinstance(body, dict) else None
    return shortened(named) if isinstance(named, str | int) else ""
