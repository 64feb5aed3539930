"""`journey explain ORDER`: what happened to an order, what it waits for, from which service,
and what to do.
"""

import asyncio
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from functools import cached_property
from typing import Any

import httpx

from contracts.http.orders import GIVE_BACK_OUTSIDE, OrderStatus
from contracts.orders import PlaceOrder
from contracts.values import Money
from journey.admin.dead_letters.dead_letter import DeadLetter
from journey.admin.diagnosis import returns, snapshot
from journey.admin.diagnosis.journey_history import JourneyHistory, fetch
from journey.admin.diagnosis.pending_messages import (
    CONSUMERS_BY_TYPE,
    KEPT,
    PendingDelivery,
    SentMessage,
    awaited,
    concerns,
)
from journey.admin.diagnosis.snapshot import ALARM_REMEDY, Location, ShopSnapshot, contents, locate, remedy
from journey.admin.endpoints import ShopEndpoints

Json = dict[str, Any]
_RESPONSE_S_MAX = 2.0


@dataclass(frozen=True)
class Explanation:
    """Everything known about one order.

    `order`: order_svc's view; None if it has none, or does not respond.
    """

    order_id: str
    at: datetime
    order: Json | None
    history: JourneyHistory
    snapshot: ShopSnapshot

    @property
    def known(self) -> bool:
        return bool(self.history.entries)

    @property
    def partial(self) -> bool:
        return bool(self.history.silent) or self.snapshot.broker_is_silent

    @property
    def status(self) -> str:
        return str((self.order or {}).get("status") or self.history.status("orders"))

    @property
    def deadline_at(self) -> datetime | None:
        at = (self.order or {}).get("deadline_at")
        return datetime.fromisoformat(at) if at else None

    @property
    def reason(self) -> str:
        """Why it ended, or what needs attention, as order_svc describes it."""
        order = self.order or {}
        reasons = (order.get(name) for name in ("cancel_reason", "reject_reason", "detail"))
        return ": ".join(str(reason).replace("_", " ") for reason in reasons if reason)

    @cached_property
    def awaited(self) -> list[tuple[PendingDelivery, Location]]:
        """The messages still to be handled, oldest first, and where they are."""
        handled = {
            service: {entry.message_id for entry in self.history.entries if entry.service == service}
            for service in KEPT.keys() - set(self.history.silent)
        }
        began = self.history.entries[0].at if self.history.entries else self.at
        missing = awaited(_sent_messages(self.history), handled)
        return [(each, locate(each, self.snapshot, self.at, began)) for each in missing]

    @cached_property
    def dead_letters(self) -> list[DeadLetter]:
        """The dead letters about this order, except those that their service has handled since."""
        handled = {entry.id for entry in self.history.entries}
        dead_letters = (
            dead_letter
            for dead_letter in self.snapshot.dead_letters or ()
            if concerns(dead_letter, self.order_id)
        )
        return [
            dead_letter
            for dead_letter in dead_letters
            if (dead_letter.service, dead_letter.id) not in handled
        ]

    @property
    def verdict(self) -> str:
        """The result in one sentence."""
        if not self.known:
            return self._unknown()
        why = f" ({self.reason})" if self.reason else ""
        status = f"order {self.order_id} is {self.status or 'in an unknown status'}{why}"
        certain = dict.fromkeys(each.service for each, _ in self.awaited if each.certain)
        perhaps = dict.fromkeys(each.service for each, _ in self.awaited if not each.certain)
        if certain or perhaps:
            silent = [f"{service}, which does not respond" for service in perhaps]
            return f"{status} and waits for {', '.join([*certain, *silent])}"
        if self.status == OrderStatus.NEW:
            return f"order {self.order_id} is not placed yet: only its cancellation has arrived"
        if self.deadline_at is not None:
            return f"{status}; all its messages are handled, so it waits for its deadline"
        unsure = ", as far as the responding services know" if self.history.silent else ""
        return f"{status}; nothing is awaited{unsure}"

    def _unknown(self) -> str:
        if self.history.silent:
            return (
                f"no responding service knows order {self.order_id}; {', '.join(self.history.silent)} might"
            )
        if self.dead_letters:
            return f"no service has handled order {self.order_id}: its first message is a dead letter"
        [(_, queue)] = CONSUMERS_BY_TYPE[PlaceOrder.TYPE]
        waiting = contents(queue, self.snapshot)
        return f"no service knows order {self.order_id}: it was never sent, or is still queued ({waiting})"

    @property
    def remedies(self) -> list[str]:
        """What to do next, without duplicates."""
        found = [where.remedy for _, where in self.awaited]
        found += [remedy(dead_letter) for dead_letter in self.dead_letters]
        if self.snapshot.blocked:
            found.append(ALARM_REMEDY)
        if self.partial:
            found.append("`journey up` starts what is not running")
        if not found and not self.known:
            found.append(
                "check the id (`journey place` prints it); `journey topology plan`; `journey dlq list`"
            )
        if not found and self.status == OrderStatus.CONFIRMED:
            found.append(f"to dispatch the parcel: `journey dispatch {self.order_id}`")
        found += [
            f"the refund of {Money.model_validate(refund['amount'])} is {GIVE_BACK_OUTSIDE}"
            for refund in returns.goods_only(self.order or {})
        ]
        if self.status == OrderStatus.NEEDS_ATTENTION:
            found.append(
                f"`journey attention show {self.order_id}` says what staff can do: have the request "
                "repeated, cancel the order, or mark its payment as settled"
            )
        return list(dict.fromkeys(found))

    def as_json(self) -> Json:
        return {
            "order_id": self.order_id,
            "verdict": self.verdict,
            "status": self.status or None,
            "deadline_at": self.deadline_at and self.deadline_at.isoformat(),
            "steps": [entry.as_json() for entry in self.history.entries],
            "awaited": [each.as_json() | asdict(where) for each, where in self.awaited],
            "dead_letters": [
                {"id": each.id, "type": each.type, "service": each.service, "error": each.error}
                for each in self.dead_letters
            ],
            "not_ready": dict(self.snapshot.unready),
            "alarms": list(self.snapshot.alarms),
            "for_update": dict(self.snapshot.for_update),
            "partial": self.partial,
            "remedies": self.remedies,
        }


async def explain(endpoints: ShopEndpoints, order_id: str) -> Explanation:
    """Ask all services and the broker. Those that do not respond in time are named in the result."""
    async with httpx.AsyncClient() as http:
        return await explain_under(await snapshot.take_snapshot(endpoints, http, order_id), http, order_id)


async def explain_under(now: ShopSnapshot, http: httpx.AsyncClient, order_id: str) -> Explanation:
    """The same, with a snapshot that was already taken."""
    addresses = {service: now.addresses[service] for service in KEPT if KEPT[service]}
    history, order = await asyncio.gather(
        _fetch_history(http, addresses, order_id), _order(http, f"{addresses['order_svc']}/orders/{order_id}")
    )
    return Explanation(order_id, datetime.now(UTC), order, history, now)


async def _fetch_history(http: httpx.AsyncClient, addresses: dict[str, str], order_id: str) -> JourneyHistory:
    """A client can give its messages another correlation id: the messages that follow are found by it."""
    history = await fetch(http, addresses, order_id)
    named = {emitted["journey"] for entry in history.entries for emitted in entry.says} - {order_id}
    for other in await asyncio.gather(*(fetch(http, addresses, name) for name in named)):
        known = {entry.id for entry in history.entries}
        history.entries += [entry for entry in other.entries if entry.id not in known]
        history.silent = list(dict.fromkeys([*history.silent, *other.silent]))
    history.entries.sort(key=lambda entry: entry.at)
    return history


async def _order(http: httpx.AsyncClient, url: str) -> Json | None:
    try:
        response = await http.get(url, timeout=_RESPONSE_S_MAX)
    except httpx.HTTPError:
        return None
    order: Json | None = response.json() if response.is_success else None
    return order


def _sent_messages(history: JourneyHistory) -> Iterator[SentMessage]:
    for entry in history.entries:
        for emitted in entry.says:
            yield SentMessage(emitted["id"], emitted["type"], emitted["subject"], entry.at, entry.service)
