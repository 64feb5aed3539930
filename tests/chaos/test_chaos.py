"""The short form of `make chaos`; and checks that the invariants detect violations."""

import os
import random
from collections import Counter
from datetime import UTC, datetime, timedelta
from itertools import islice
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest
from rich.console import Console

from chassis.messaging.identity import derived_id
from contracts.notifications import MailKind
from tests.chaos.environment import Fault
from tests.chaos.invariants import CheckResult, doubled, longest_gap, lost, mails
from tests.chaos.report import InjectedFault, Outcome, show, show_total
from tests.chaos.run import Plan, phase, rounds
from tests.support.in_memory_doctor import World

NOON = datetime(2026, 1, 31, 12, tzinfo=UTC)
FAULTS, ORDERS = 12, 400


@pytest.mark.real
@pytest.mark.system
@pytest.mark.timeout(1200)
async def test_a_shop_under_fire_loses_and_doubles_nothing(tmp_path: Path) -> None:
    seed = int(os.environ.get("CHAOS_SEED", random.randrange(10**6)))
    plan = Plan(seed, nodes=1, orders=ORDERS, faults=FAULTS, seconds_max=240, orders_per_second=6)
    console = Console(width=160)
    outcome = await phase(plan, tmp_path, console.print)
    show(outcome, console)
    show_total([outcome], seed, console)
    problems = outcome.check_result.problems
    assert not problems, f"CHAOS_SEED={seed}"


def test_a_seed_repeats_its_faults_each_before_any_twice() -> None:
    async def strike(moments: random.Random) -> None: ...

    faults = tuple(Fault(name, strike) for name in "abcdefg")

    def dealt(seed: int) -> list[tuple[str, float]]:
        hands = islice(rounds(faults, random.Random(seed)), 20)
        return [(fault.name, moments.random()) for hand in hands for fault, moments in hand]

    assert dealt(1) == dealt(1) != dealt(2)
    assert {name for name, _ in dealt(1)[: len(faults)]} == set("abcdefg")


def test_one_server_never_has_two_faults_at_once() -> None:
    async def strike(moments: random.Random) -> None: ...

    faults = tuple(
        Fault(name, strike) for name in ("broker: a", "network: b of the broker", "database: c", "service: d")
    )
    met = {
        frozenset(fault.name for fault, _ in hand) for hand in islice(rounds(faults, random.Random(1)), 200)
    }
    assert {"broker: a", "database: c"} in met
    assert {"broker: a", "network: b of the broker"} not in met


def test_an_order_that_is_unknown_or_ended_otherwise_is_lost() -> None:
    kept = uuid4()
    gone = uuid4()
    otherwise = uuid4()
    world = World(orders={str(kept): order("confirmed"), str(otherwise): order("cancelled")})
    expected = {kept: "confirmed", gone: "confirmed", otherwise: "confirmed"}
    assert lost(world, expected) == {
        gone: "unknown, expected confirmed",
        otherwise: "cancelled, expected confirmed",
    }


@pytest.mark.parametrize(
    ("status", "effects", "is_doubled"),
    [
        ("confirmed", ["captured"], False),
        ("confirmed", ["captured", "captured"], True),
        ("cancelled", ["captured"], True),
        ("cancelled", ["captured", "refunded"], False),
        ("cancelled", ["captured", "refunded", "refunded"], True),
    ],
)
def test_a_double_capture_or_refund_is_reported(status: str, effects: list[str], is_doubled: bool) -> None:
    order_id = uuid4()
    world = World(
        orders={str(order_id): order(status)}, ledger=[moved(order_id, effect) for effect in effects]
    )
    assert (order_id in doubled(world)) is is_doubled


def test_each_refund_of_a_part_counts_by_itself() -> None:
    order_id = uuid4()
    refunds = [{"status": "done", "amount": {"amount_minor": 30}} for _ in range(2)]
    parts = [
        {**moved(order_id, "refunded"), "key": f"{order_id}:part:{uuid4()}", "amount": {"amount_minor": 30}}
        for _ in range(2)
    ]
    ledger = [moved(order_id, "captured"), *parts]
    world = World(orders={str(order_id): {**order("dispatched"), "refunds": refunds}}, ledger=ledger)
    assert not doubled(world)
    ledger.append(parts[0])
    assert order_id in doubled(world)


def test_an_ended_order_without_its_mail_is_reported() -> None:
    reported, untold = uuid4(), uuid4()
    message_ids = Counter({derived_id("mail", reported, MailKind.ORDER_CONFIRMED): 1})
    sentences = list(mails({reported: "confirmed", untold: "cancelled"}, message_ids))
    assert sentences == [f"order {untold} is cancelled, but its mail is missing"]


def test_the_longest_gap_overlaps_the_fault() -> None:
    endings = [NOON + timedelta(seconds=seconds) for seconds in (0, 1, 31, 32, 40)]
    gap = longest_gap(endings, began=NOON + timedelta(seconds=30), healed=NOON + timedelta(seconds=33))
    assert gap == timedelta(seconds=30)


def test_the_table_counts_an_order_for_each_concurrent_fault() -> None:
    order_id, later = uuid4(), uuid4()
    struck = [
        InjectedFault(name, NOON, NOON + timedelta(seconds=9))
        for name in ("broker: kill -9", "service: kill -9")
    ]
    placed = {order_id: NOON + timedelta(seconds=1), later: NOON + timedelta(seconds=20)}
    outcome = Outcome("one", placed, struck, CheckResult(lost={order_id: "unknown"}), unsent=0)
    assert [(row.fault, row.times, row.orders, row.lost) for row in outcome.rows] == [
        ("broker: kill -9", 1, 1, 1),
        ("service: kill -9", 1, 1, 1),
        ("(nothing struck)", 0, 1, 0),
    ]


def order(status: str) -> dict[str, Any]:
    return {"status": status, "total": {"amount_minor": 100}}


def moved(order_id: UUID, outcome: str) -> dict[str, Any]:
    key = f"{order_id}:{outcome.removesuffix('d')}"
    return {
        "key": key,
        "effect": outcome.removesuffix("d"),
        "amount": {"amount_minor": 100},
        "outcome": outcome,
    }
