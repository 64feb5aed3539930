"""`journey explain ORDER`: what has happened to an order, what it waits for, by whom, and what to do about it."""

import asyncio
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from functools import cached_property
from typing import Any

import httpx

from contracts.orders import PlaceOrder
from journey.admin.dead_letters.dead_letter import DeadLetter
from journey.admin.diagnosis import snapshot
from journey.admin.diagnosis.journey_history import JourneyHistory, fetch
from journey.admin.diagnosis.pending_messages import (
    CONSUMERS_BY_TYPE,
    KEPT,
    PendingDelivery,
    SentMessage,
    awaited,
    concerns,
)
from journey.admin.diagnosis.snapshot import ROOM, Location, ShopSnapshot, contents, locate, remedy
from journey.admin.endpoints import ShopEndpoints
from order_svc.order import OrderStatus

Json = dict[str, Any]
_ANSWER_S_MAX = 2.0


@dataclass(frozen=True)
class Explanation:
    """All that is known of one order. `order`: order_svc's own view; None if it has none, or does not answer."""

    order_id: str
    at: datetime
    order: Json | None
    trail: JourneyHistory
    snapshot: ShopSnapshot

    @property
    def known(self) -> bool:
        return bool(self.trail.steps)

    @property
    def partial(self) -> bool:
        return bool(self.trail.silent) or self.snapshot.broker_is_silent

    @property
    def status(self) -> str:
        return str((self.order or {}).get("status") or self.trail.status("orders"))

    @property
    def deadline_at(self) -> datetime | None:
        at = (self.order or {}).get("deadline_at")
        return datetime.fromisoformat(at) if at else None

    @property
    def reason(self) -> str:
        """Why it ended, or what needs attention, in order_svc's words."""
        order = self.order or {}
        words = (order.get(name) for name in ("cancel_reason", "reject_reason", "detail"))
        return ": ".join(str(word).replace("_", " ") for word in words if word)

    @cached_property
    def awaited(self) -> list[tuple[PendingDelivery, Location]]:
        """What is still to be handled, oldest first, and where it is."""
        handled = {
            service: {step.message_id for step in self.trail.steps if step.service == service}
            for service in KEPT.keys() - set(self.trail.silent)
        }
        began = self.trail.steps[0].at if self.trail.steps else self.at
        missing = awaited(_words(self.trail), handled)
        return [(each, locate(each, self.snapshot, self.at, began)) for each in missing]

    @cached_property
    def letters(self) -> list[DeadLetter]:
        """The dead letters about this order, without those that their service has handled after all."""
        handled = {step.id for step in self.trail.steps}
        letters = (letter for letter in self.snapshot.letters or () if concerns(letter, self.order_id))
        return [letter for letter in letters if (letter.service, letter.id) not in handled]

    @property
    def verdict(self) -> str:
        """The answer in one sentence."""
        if not self.known:
            return self._unknown()
        why = f" ({self.reason})" if self.reason else ""
        status = f"order {self.order_id} is {self.status or 'in a status that only order_svc knows'}{why}"
        certain = dict.fromkeys(each.service for each, _ in self.awaited if each.certain)
        perhaps = dict.fromkeys(each.service for each, _ in self.awaited if not each.certain)
        if certain or perhaps:
            silent = [f"{service}, which does not answer" for service in perhaps]
            return f"{status} and waits for {', '.join([*certain, *silent])}"
        if self.status == OrderStatus.NEW:
            return f"order {self.order_id} is not placed yet: only its cancellation has come"
        if self.deadline_at is not None:
            return f"{status}; all that was said of it is handled, so it waits for its deadline"
        unsure = ", as far as those know who answer" if self.trail.silent else ""
        return f"{status}; nothing is awaited{unsure}"

    def _unknown(self) -> str:
        if self.trail.silent:
            return f"no service that answers knows order {self.order_id}; {', '.join(self.trail.silent)} might"
        if self.letters:
            return f"no service has taken order {self.order_id}: the first message about it is a dead letter"
        [(_, queue)] = CONSUMERS_BY_TYPE[PlaceOrder.TYPE]
        waiting = contents(queue, self.snapshot)
        return f"no service knows order {self.order_id}: it was never sent, or has still to be taken ({waiting})"

    @property
    def remedies(self) -> list[str]:
        """What to do next, each thing once."""
        found = [where.remedy for _, where in self.awaited]
        found += [remedy(letter) for letter in self.letters]
        if self.snapshot.blocked:
            found.append(ROOM)
        if self.partial:
            found.append("`journey up` starts what does not run")
        if not found and not self.known:
            found.append("check the id (`journey place` prints it); `journey topology plan`; `journey dlq list`")
        if not found and self.status == OrderStatus.CONFIRMED:
            found.append(f"when the parcel may leave: `journey dispatch {self.order_id}`")
        if self.status == OrderStatus.NEEDS_ATTENTION:
            found.append("a person has to settle it with the customer and the card provider")
        return list(dict.fromkeys(found))

    def as_json(self) -> Json:
        steps = [asdict(step) | {"at": step.at.isoformat()} for step in self.trail.steps]
        return {
            "order_id": self.order_id,
            "verdict": self.verdict,
            "status": self.status or None,
            "deadline_at": self.deadline_at and self.deadline_at.isoformat(),
            "steps": steps,
            "awaited": [each.as_json() | asdict(where) for each, where in self.awaited],
            "dead_letters": [
                {"id": each.id, "type": each.type, "service": each.service, "error": each.error}
                for each in self.letters
            ],
            "not_ready": dict(self.snapshot.unready),
            "alarms": list(self.snapshot.alarms),
            "partial": self.partial,
            "remedies": self.remedies,
        }


async def explain(endpoints: ShopEndpoints, order_id: str) -> Explanation:
    """Ask all services and the broker; who does not answer is named in the explanation, not waited for."""
    async with httpx.AsyncClient() as http:
        return await explain_under(await snapshot.take_snapshot(endpoints, http, order_id), http, order_id)


async def explain_under(now: ShopSnapshot, http: httpx.AsyncClient, order_id: str) -> Explanation:
    """The same, under circumstances that are known already."""
    addresses = {service: now.addresses[service] for service in KEPT if KEPT[service]}
    trail, order = await asyncio.gather(
        _trail(http, addresses, order_id), _order(http, f"{addresses['order_svc']}/orders/{order_id}")
    )
    return Explanation(order_id, datetime.now(UTC), order, trail, now)


async def _trail(http: httpx.AsyncClient, addresses: dict[str, str], order_id: str) -> JourneyHistory:
    """A client may have given its messages a journey of another name: what follows from them is found by that."""
    trail = await fetch(http, addresses, order_id)
    named = {said["journey"] for step in trail.steps for said in step.says} - {order_id}
    for other in await asyncio.gather(*(fetch(http, addresses, name) for name in named)):
        known = {step.id for step in trail.steps}
        trail.steps += [step for step in other.steps if step.id not in known]
        trail.silent = list(dict.fromkeys([*trail.silent, *other.silent]))
    trail.steps.sort(key=lambda step: step.at)
    return trail


async def _order(http: httpx.AsyncClient, url: str) -> Json | None:
    try:
        answer = await http.get(url, timeout=_ANSWER_S_MAX)
    except httpx.HTTPError:
        return None
    order: Json | None = answer.json() if answer.is_success else None
    return order


def _words(trail: JourneyHistory) -> Iterator[SentMessage]:
    for step in trail.steps:
        for said in step.says:
            yield SentMessage(said["id"], said["type"], said["subject"], step.at, step.service)
