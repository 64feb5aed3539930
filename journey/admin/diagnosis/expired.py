"""What services may have deleted by their retention rules, so that its absence is no violation."""

import asyncio
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx

from chassis.core.definition import CLOCK_MARGIN

Json = dict[str, Any]
_RESPONSE_S_MAX = 20.0
_BEFORE_ALL = datetime.min.replace(tzinfo=UTC)


@dataclass(frozen=True)
class Rule:
    """`began_at`: no document of the kind had its last change before this time,
    as far as the service knows.
    """

    ttl: timedelta
    began_at: datetime | None


@dataclass(frozen=True)
class Rules:
    """`of`: retention rules by kind; `now`: when they were read. Without rules nothing expires."""

    of: Mapping[str, Rule] = field(default_factory=dict)
    now: datetime = _BEFORE_ALL

    def may_be_gone(self, kind: str, changed_at: str | None) -> bool:
        """Whether a document that ended at or shortly after this time may be deleted.

        None: the time is unknown.
        """
        if (rule := self.of.get(kind)) is None:
            return False
        at = datetime.fromisoformat(changed_at) if changed_at else rule.began_at
        return at is not None and self.now - at > rule.ttl - CLOCK_MARGIN

    def any_gone(self, kind: str) -> bool:
        """Whether any document of the kind may have been deleted."""
        return self.may_be_gone(kind, None)


async def rules_of(http: httpx.AsyncClient, addresses: Mapping[str, str], services: Iterable[str]) -> Rules:
    """The rules of these services.

    Raises httpx.HTTPError if a service does not respond. Services of an earlier version have no rules."""
    responses = await asyncio.gather(
        *(http.get(f"{addresses[service]}/retention", timeout=_RESPONSE_S_MAX) for service in services)
    )
    rules = {}
    for response in responses:
        for kept in (
            [] if response.status_code == httpx.codes.NOT_FOUND else response.raise_for_status().json()
        ):
            began_at = datetime.fromisoformat(kept["began_at"]) if kept["began_at"] else None
            rules[kept["kind"]] = Rule(timedelta(days=kept["kept_for_days"]), began_at)
    return Rules(rules, datetime.now(UTC))


async def confirmed_at(http: httpx.AsyncClient, order_svc: str, order_id: str) -> str | None:
    """When an order was confirmed.

    Later changes of the order do not matter: its payment ended soon after that.
    """
    response = await http.get(f"{order_svc}/journeys/{order_id}", timeout=_RESPONSE_S_MAX)
    steps: list[Json] = response.raise_for_status().json()
    times = [each["at"] for each in steps if each["key"] == order_id and _confirms(each)]
    return times[0] if times else None


def _confirms(step: Json) -> bool:
    return bool(step["kind"] == "orders" and step["status_to"] == "confirmed" != step["status_from"])
