"""The history of one journey, merged from the messages that each service handled and emitted (GET
/journeys/…).
"""

import asyncio
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from datetime import datetime
from typing import Any

import httpx

from chassis.messaging.message import Command, Sender
from chassis.web.journey_history import RecordedTimes
from contracts.catalog import CATALOG
from journey.admin.registry import SERVICES


@dataclass(frozen=True)
class HistoryEntry:
    """A message handled by a service: the status change there, and the messages that it emitted (`says`).

    `times`: when it was sent and received, as far as the service has recorded it.
    """

    service: str
    kind: str
    key: str
    message_id: str
    type: str
    at: datetime
    status_from: str
    status_to: str
    says: tuple[Mapping[str, Any], ...]
    times: RecordedTimes = field(default_factory=RecordedTimes)

    @property
    def id(self) -> tuple[str, str]:
        return self.service, self.message_id

    def as_json(self) -> dict[str, Any]:
        json = asdict(self)
        return json | {"at": self.at.isoformat(), "times": self.times.model_dump(mode="json")}


OUTSIDE = ""
"""The sender of a message that no service has emitted: a client program, or a person."""


def sender_of(wire_type: str, service: str) -> str:
    """The sender of a message that `service` handled and that is in no service's history as emitted.

    It is from outside, unless its contract says otherwise: reminders are sent by the service to itself, and
    the owner of an event may not respond now.
    """
    match CATALOG.get(wire_type):
        case None:
            return OUTSIDE
        case contract if not issubclass(contract, Command):
            return contract.OWNER
        case contract:
            return service if contract.SENDER is Sender.SELF else OUTSIDE


_FIELDS = tuple(field.name for field in fields(HistoryEntry) if field.name != "times")


@dataclass
class JourneyHistory:
    """All entries known so far, oldest first, and the services that did not respond."""

    entries: list[HistoryEntry] = field(default_factory=list)
    silent: list[str] = field(default_factory=list)

    def cause_of(self, entry: HistoryEntry) -> HistoryEntry | None:
        """The entry that emitted the message which this entry handled; None if it came from outside."""
        return next(
            (
                earlier
                for earlier in self.entries
                if any(emitted["id"] == entry.message_id for emitted in earlier.says)
            ),
            None,
        )

    def status(self, kind: str) -> str:
        """The current status of the aggregate of this kind."""
        return next((entry.status_to for entry in reversed(self.entries) if entry.kind == kind), "")

    def emitted_types(self) -> list[str]:
        """The types of all emitted messages, in order."""
        return [emitted["type"] for entry in self.entries for emitted in entry.says]

    def unhandled(self) -> list[tuple[HistoryEntry, Mapping[str, Any]]]:
        """Emitted messages that no service has handled (yet): an event without a consumer,
        or a stopped service.
        """
        handled = {entry.message_id for entry in self.entries}
        return [
            (entry, emitted)
            for entry in self.entries
            for emitted in entry.says
            if emitted["id"] not in handled
        ]


async def fetch(http: httpx.AsyncClient, addresses: Mapping[str, str], journey_id: str) -> JourneyHistory:
    """Ask every service at once, except gateway and operations; those that do not respond are in `silent`."""
    names = [name for name in SERVICES if name in addresses]
    responses = await asyncio.gather(*(_ask(http, addresses[name], journey_id) for name in names))
    history = JourneyHistory(
        silent=[name for name, entries in zip(names, responses, strict=True) if entries is None]
    )
    history.entries = sorted(
        (entry for entries in responses for entry in entries or ()), key=lambda entry: entry.at
    )
    return history


async def _ask(http: httpx.AsyncClient, address: str, journey_id: str) -> list[HistoryEntry] | None:
    try:
        response = await http.get(f"{address}/journeys/{journey_id}", params={"times": "true"}, timeout=2)
        response.raise_for_status()
    except httpx.HTTPError:
        return None
    return [_entry(entry) for entry in response.json()]


def _entry(entry: Mapping[str, Any]) -> HistoryEntry:
    """Ignores fields that a later version may add. An earlier version returns no `times`."""
    known = {name: entry[name] for name in _FIELDS}
    at, times = datetime.fromisoformat(entry["at"]), RecordedTimes.model_validate(entry.get("times", {}))
    return HistoryEntry(**{**known, "at": at, "says": tuple(entry["says"]), "times": times})
