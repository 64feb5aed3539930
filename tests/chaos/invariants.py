"""Checks the outcome of every order after all faults have healed: lost, duplicated, or correct."""

import asyncio
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import pairwise
from uuid import UUID

import httpx

from chassis.messaging.envelope import OPERATOR
from chassis.store.mongodb import MongoStore
from chassis.store.protocol import Handled
from contracts.http.orders import RefundStatus
from journey.admin.broker.management import AdminUnavailable
from journey.admin.dead_letters import reader
from journey.admin.diagnosis.books import CONFIRMED
from journey.admin.diagnosis.journey_history import fetch
from journey.admin.registry import SERVICES
from journey.devenv.shop import message_ids
from tests.chaos.load import Shoppers
from tests.support.in_memory_doctor import World, examine, read_world
from tests.support.system_fixtures import last_mail

ENDED = ("confirmed", "dispatched", "cancelled", "rejected")
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
            lacking = await shoppers.staff.serve()
            world, broken = await _look(http, shoppers)
            broken += lacking or await shoppers.staff.disagreements(world, copies_max=1 + copies_max)
            check_result = CheckResult(lost(world, expected), doubled(world), broken)
            if not check_result.problems or asyncio.get_running_loop().time() > end:
                break
            await asyncio.sleep(1)
        dead_letters = await reader.read(system.endpoints.amqp_url(OPERATOR), SERVICES)
        check_result.broken += [
            f"unexplained dead letter of {dead_letter.service}: {dead_letter.type}, {dead_letter.error}"
            for dead_letter in dead_letters
        ]
        found = await message_ids(system)
        check_result.broken += mails(expected, found)
        check_result.second_copies = found.total() - len(found)
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
        order_id, _, effect = entry["key"].partition(":")
        # Each refund of a part has an effect of its own; the staff's load knows how many there shall be.
        effects[order_id, effect if effect.startswith("part:") else entry["effect"]] += 1
        taken[order_id] += entry["amount"]["amount_minor"] * _MOVES.get(entry["outcome"], 0)
    wrong = {
        UUID(order_id): f"{count} times {effect}"
        for (order_id, effect), count in effects.items()
        if count > 1
    }
    for order_id, order in world.orders.items():
        refunded = sum(
            refund["amount"]["amount_minor"]
            for refund in order.get("refunds", ())
            if refund["status"] == RefundStatus.DONE
        )
        due = order["total"]["amount_minor"] - refunded if order["status"] in CONFIRMED else 0
        if order["status"] in ENDED and taken[order_id] > due:
            wrong[UUID(order_id)] = f"{taken[order_id]} taken, {due} due"
    return wrong


def mails(expected: Mapping[UUID, str], message_ids: Counter[str]) -> Iterable[str]:
    """Each outcome has its mail.

    A second copy has the same Message-ID: SMTP has no exactly-once delivery, so copies are counted, and
    limited by the number of mails in flight at a fault.
    """
    for order_id, status in expected.items():
        if not message_ids[last_mail(order_id, status)]:
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
        world = await read_world(http, system.endpoints.http, await system.dead())
    except (httpx.HTTPError, AdminUnavailable) as error:
        return World(), [f"a service does not respond: {type(error).__name__} {error}"]
    findings = [finding for finding in examine(world) if not finding.holds]
    return world, [
        f"{finding.promise}: {len(finding.broken)}, as {finding.broken[0]}" for finding in findings
    ]


async def _story(http: httpx.AsyncClient, shoppers: Shoppers, order_id: UUID) -> str:
    history = await fetch(http, shoppers.system.endpoints.http, str(order_id))
    entries = [
        f"{entry.service} {entry.type} {entry.status_from}->{entry.status_to}" for entry in history.entries
    ]
    unhandled = [f"{entry.service} emitted {output['type']}" for entry, output in history.unhandled()]
    return f"the story of {order_id}: {'; '.join(entries)}. Not handled: {', '.join(unhandled)}"


_MOVES = {"captured": 1, "refunded": -1}
