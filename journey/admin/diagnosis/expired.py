"""What services may have deleted by their retention rules, so that nobody takes its absence for damage."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx

from chassis.core.definition import CLOCK_MARGIN

Json = dict[str, Any]
_ANSWER_S_MAX = 20.0
_BEFORE_ALL = datetime.min.replace(tzinfo=UTC)
_SERVICES = ("order_svc", "inventory_svc", "payment_svc", "notification_svc")


@dataclass(frozen=True)
class Rule:
    """`began_at`: no document of the kind was changed for the last time before it, as far as its service knows."""

    ttl: timedelta
    began_at: datetime | None


@dataclass(frozen=True)
class Rules:
    """By kind, the rules of the services, and the time at which they are asked about. Without rules nothing expires."""

    of: Mapping[str, Rule] = field(default_factory=dict)
    now: datetime = _BEFORE_ALL

    def may_be_gone(self, kind: str, changed_at: str | None) -> bool:
        """Whether one that ended at this time, or a little later, may be deleted by now. None: it is not known when."""
        if (rule := self.of.get(kind)) is None:
            return False
        at = datetime.fromisoformat(changed_at) if changed_at else rule.began_at
        return at is not None and self.now - at > rule.ttl - CLOCK_MARGIN

    def any_gone(self, kind: str) -> bool:
        """Whether any document of the kind may be deleted by now."""
        return self.may_be_gone(kind, None)


async def rules_of(http: httpx.AsyncClient, addresses: Mapping[str, str]) -> Rules:
    """Raises httpx.HTTPError if a service does not answer. An earlier version has no rules to show."""
    answers = await asyncio.gather(
        *(http.get(f"{addresses[service]}/retention", timeout=_ANSWER_S_MAX) for service in _SERVICES)
    )
    rules = {}
    for answer in answers:
        for kept in [] if answer.status_code == httpx.codes.NOT_FOUND else answer.raise_for_status().json():
            began_at = datetime.fromisoformat(kept["began_at"]) if kept["began_at"] else None
            rules[kept["kind"]] = Rule(timedelta(days=kept["kept_for_days"]), began_at)
    return Rules(rules, datetime.now(UTC))


async def confirmed_at(http: httpx.AsyncClient, order_svc: str, order_id: str) -> str | None:
    """When an order was confirmed. Its later changes say nothing about its payment, which ended soon after that."""
    answer = await http.get(f"{order_svc}/journeys/{order_id}", timeout=_ANSWER_S_MAX)
    steps: list[Json] = answer.raise_for_status().json()
    times = [each["at"] for each in steps if each["key"] == order_id and _confirms(each)]
    return times[0] if times else None


def _confirms(step: Json) -> bool:
    return bool(step["kind"] == "orders" and step["status_to"] == "confirmed" != step["status_from"])
