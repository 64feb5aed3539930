"""Checks the outcome of every order after all faults have healed: lost, duplicated, or correct."""

import asyncio
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any
from uuid import UUID

import httpx

from chassis.messaging.envelope import OPERATOR
from chassis.store.mongodb import MongoStore
from chassis.store.protocol import Handled
from contracts.notifications import MailKind
from journey.admin.broker.management import AdminUnavailable
from journey.admin.dead_letters import reader
from journey.admin.diagnosis import order_lists
from journey.admin.diagnosis.books import CONFIRMED
from journey.admin.diagnosis.journey_history import fetch
from journey.admin.registry import SERVICES
from journey.devenv.shop import copies_in_mailbox
from tests.chaos.load import Shoppers
from tests.support.in_memory_doctor import World, examine

ENDED = ("confirmed", "cancelled", "rejected")
_STORIES_MAX = 3
_READ_AT_ONCE = 50


@dataclass
class CheckResult:
    """Orders by what is wrong with them; and all other problems, one sentence each."""

    lost: dict[UUID, str] = field(default_factory=dict)
    doubled: dict[UUID, str] = field(default_factory=dict)
    broken: list[str] = field(default_factory=list)
    second_copies: int = 0
    endings: list[datetime] = field(default_factory=list)

    @property
    def problems(self) -> list[str]:
        return [
            *(f"lost {order_id}: {what}" for order_id, what in self.lost.items()),
            *(f"doubled {order_id}: {what}" for order_id, what in self.doubled.items()),
            *(f"broken {sentence}" for sentence in self.broken),
        ]


async def judge(shoppers: Shoppers, *, copies_max: int, wait_s: float) -> CheckResult:
    """Wait until the shop comes to rest, then compare everything stored. `copies_max`: see `mails`."""
    system, expected = shoppers.system, shoppers.expected
    async with httpx.AsyncClient(timeout=30) as http:
        end = asyncio.get_running_loop().time() + wait_s
        while True:
            world, broken = await _look(http, shoppers)
            check_result = CheckResult(lost(world, expected), doubled(world), broken)
            if not check_result.problems or asyncio.get_running_loop().time() > end:
                break
            await asyncio.sleep(1)
        dead_letters = await reader.read(system.endpoints.amqp_url(OPERATOR), SERVICES)
        check_result.broken += [
            f"unexplained dead letter of {dead_letter.service}: {dead_letter.type}, {dead_letter.error}"
            for dead_letter in dead_letters
        ]
        confirmed, cancelled = [await copies_in_mailbox(system, kind) for kind in _KINDS.values()]
        check_result.broken += mails(expected, confirmed, cancelled)
        check_result.second_copies = sum(
            max(0, copies(each) - 1) for each in expected for copies in (confirmed, cancelled)
        )
        if check_result.second_copies > copies_max:
            check_result.broken.append(
                f"{check_result.second_copies} second copies of mails, faults explain {copies_max}"
            )
        check_result.endings = await endings(shoppers)
        for order_id in list(check_result.lost | check_result.doubled)[:_STORIES_MAX]:
            check_result.broken.append(await _story(http, shoppers, order_id))
    return check_result


def lost(world: World, expected: Mapping[UUID, str]) -> dict[UUID, str]:
    """Orders that the broker confirmed, but without the outcome that their card and goods lead to."""
    found = {order_id: world.orders.get(str(order_id), {}).get("status", "unknown") for order_id in expected}
    return {
        order_id: f"{found[order_id]}, expected {status}"
        for order_id, status in expected.items()
        if found[order_id] != status
    }


def doubled(world: World) -> dict[UUID, str]:
    """Orders with a repeated effect at the card provider, or with more money captured than due."""
    effects: Counter[tuple[str, str]] = Counter()
    taken: Counter[str] = Counter()
    for entry in world.ledger:
        order_id = entry["key"].partition(":")[0]
        effects[order_id, entry["effect"]] += 1
        taken[order_id] += entry["amount"]["amount_minor"] * _MOVES.get(entry["outcome"], 0)
    wrong = {
        UUID(order_id): f"{count} times {effect}"
        for (order_id, effect), count in effects.items()
        if count > 1
    }
    for order_id, order in world.orders.items():
        due = order["total"]["amount_minor"] if order["status"] in CONFIRMED else 0
        if order["status"] in ENDED and taken[order_id] > due:
            wrong[UUID(order_id)] = f"{taken[order_id]} taken, {due} due"
    return wrong


def mails(
    expected: Mapping[UUID, str], confirmed: Callable[[UUID], int], cancelled: Callable[[UUID], int]
) -> Iterable[str]:
    """Each outcome has its mail.

    A second copy has the same Message-ID: SMTP has no exactly-once delivery, so copies are counted, and
    limited by the number of mails in flight at a fault.
    """
    for order_id, status in expected.items():
        if not (confirmed if status == "confirmed" else cancelled)(order_id):
            yield f"order {order_id} is {status}, but its mail is missing"


def longest_gap(endings: list[datetime], began: datetime, healed: datetime) -> timedelta:
    """The longest time without any order reaching its outcome, among the gaps that overlap this period."""
    gaps = [after - before for before, after in pairwise(endings) if before < healed and after > began]
    return max(gaps, default=healed - began)


async def endings(shoppers: Shoppers) -> list[datetime]:
    """When each order first reached an outcome, from order_svc's records."""
    system = shoppers.system
    store = MongoStore(system.infrastructure.mongo_url, f"{system.endpoints.database_prefix}order_svc")
    ids = [str(order_id) for order_id in shoppers.expected]
    found: list[datetime] = []
    try:
        for start in range(0, len(ids), _READ_AT_ONCE):
            journeys = await asyncio.gather(
                *(store.journey("orders", key) for key in ids[start : start + _READ_AT_ONCE])
            )
            histories = [handled for journey in journeys for _, handled in journey]
            found += [at for handled in histories if (at := _ended_at(handled)) is not None]
    finally:
        await store.stop()
    return sorted(found)


def _ended_at(history: Iterable[Handled]) -> datetime | None:
    return next((handled.at for handled in history if handled.status[1] in ENDED), None)


async def _look(http: httpx.AsyncClient, shoppers: Shoppers) -> tuple[World, list[str]]:
    """Everything that the services store, and the doctor's findings; an unresponsive service is a finding."""
    system = shoppers.system
    try:
        world = await _gather(http, system.endpoints.http, await system.dead())
    except (httpx.HTTPError, AdminUnavailable) as error:
        return World(), [f"a service does not respond: {type(error).__name__} {error}"]
    findings = [finding for finding in examine(world) if not finding.holds]
    return world, [
        f"{finding.promise}: {len(finding.broken)}, as {finding.broken[0]}" for finding in findings
    ]


async def _gather(http: httpx.AsyncClient, addresses: Mapping[str, str], dead: dict[str, int]) -> World:
    """Everything, in memory. Raises httpx.HTTPError if a service does not respond."""
    read = order_lists.Lists(http, addresses).read

    async def all_of(path: str) -> list[dict[str, Any]]:
        return [item async for item in read(path)]

    orders, shelves, reservations, payments, ledger, mails = await asyncio.gather(
        *map(all_of, ("/orders", "/stock", "/reservations", "/payments", "/provider/ledger", "/mails"))
    )
    return World(
        orders={order["order_id"]: order for order in orders},
        shelves=shelves,
        reservations={reservation["order_id"]: reservation for reservation in reservations},
        payments={payment["order_id"]: payment for payment in payments},
        ledger=ledger,
        mails=mails,
        dead=dead,
    )


async def _story(http: httpx.AsyncClient, shoppers: Shoppers, order_id: UUID) -> str:
    history = await fetch(http, shoppers.system.endpoints.http, str(order_id))
    entries = [
        f"{entry.service} {entry.type} {entry.status_from}->{entry.status_to}" for entry in history.entries
    ]
    unhandled = [f"{entry.service} emitted {output['type']}" for entry, output in history.unhandled()]
    return f"the story of {order_id}: {'; '.join(entries)}. Not handled: {', '.join(unhandled)}"


_KINDS = {"confirmed": MailKind.ORDER_CONFIRMED, "cancelled": MailKind.ORDER_CANCELLED}
_MOVES = {"captured": 1, "refunded": -1}
