"""The history of one journey, merged from the messages that each service handled and emitted (GET
/journeys/…).
"""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import httpx

from journey.admin.registry import SERVICES


@dataclass(frozen=True)
class HistoryEntry:
    """A message handled by a service: the status change there, and the messages that it emitted (`says`)."""

    service: str
    kind: str
    key: str
    message_id: str
    type: str
    at: datetime
    status_from: str
    status_to: str
    says: tuple[Mapping[str, Any], ...]

    @property
    def id(self) -> tuple[str, str]:
        return self.service, self.message_id


@dataclass
class JourneyHistory:
    """All entries known so far, oldest first, and the services that did not respond."""

    steps: list[HistoryEntry] = field(default_factory=list)
    silent: list[str] = field(default_factory=list)

    def cause_of(self, step: HistoryEntry) -> HistoryEntry | None:
        """The entry that emitted the message which this entry handled; None if it came from outside."""
        return next(
            (s for s in self.steps if any(emitted["id"] == step.message_id for emitted in s.says)), None
        )

    def status(self, kind: str) -> str:
        """The current status of the aggregate of this kind."""
        return next((s.status_to for s in reversed(self.steps) if s.kind == kind), "")

    def emitted_types(self) -> list[str]:
        """The types of all emitted messages, in order."""
        return [emitted["type"] for step in self.steps for emitted in step.says]

    def unheard(self) -> list[tuple[HistoryEntry, Mapping[str, Any]]]:
        """Emitted messages that no service has handled (yet): an event without a consumer,
        or a stopped service.
        """
        handled = {step.message_id for step in self.steps}
        return [
            (step, emitted) for step in self.steps for emitted in step.says if emitted["id"] not in handled
        ]


async def fetch(http: httpx.AsyncClient, addresses: Mapping[str, str], journey_id: str) -> JourneyHistory:
    """Ask every service at once, except gateway and operations; those that do not respond are in `silent`."""
    names = [name for name in SERVICES if name in addresses]
    responses = await asyncio.gather(*(_ask(http, addresses[name], journey_id) for name in names))
    trail = JourneyHistory(
        silent=[name for name, steps in zip(names, responses, strict=True) if steps is None]
    )
    trail.steps = sorted((step for steps in responses for step in steps or ()), key=lambda step: step.at)
    return trail


async def _ask(http: httpx.AsyncClient, address: str, journey_id: str) -> list[HistoryEntry] | None:
    try:
        response = await http.get(f"{address}/journeys/{journey_id}", timeout=2)
        response.raise_for_status()
    except httpx.HTTPError:
        return None
    return [
        HistoryEntry(**{**step, "at": datetime.fromisoformat(step["at"]), "says": tuple(step["says"])})
        for step in response.json()
    ]
