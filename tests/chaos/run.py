"""A shop under load and faults: all faults of the environment and of the services, in a seeded order,
often in pairs.

Afterwards nothing may be lost, duplicated, or left over without an explanation.
"""

import asyncio
import random
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from chassis.clock import utc_now
from journey.admin.progress_log import Log
from journey.devenv.process_shop import ProcessShop
from journey.devenv.shop import register, seed
from notification_svc.service import EFFECTS_MAX
from tests.chaos.environment import ChaosEnvironment, Fault, ground
from tests.chaos.invariants import judge
from tests.chaos.load import Shoppers
from tests.chaos.lost_queue import REMEMBERED_S, lost_queue
from tests.chaos.report import InjectedFault, Outcome
from tests.chaos.service_faults import INSTANCES, Fleet
from tests.support.fork_server import ForkServerProcesses

DELAY_SCALE = 0.1  # the retry ladder's 5 s, 1 min and 10 min become 0.5 s, 6 s and 1 min
PAIRED = 0.75
CALM_S = 1.0
SERVICES_OFTENER = 3
SETTLED_S_MAX = 150.0
# Mails in flight between "accepted by the mail server" and "recorded" at a fault.
MAILS_IN_HAND = EFFECTS_MAX * len(INSTANCES)


@dataclass(frozen=True)
class Plan:
    """At least so many orders and faults, but no longer than so many seconds of faults."""

    seed: int
    nodes: Literal[1, 3]
    orders: int
    faults: int
    seconds_max: float
    orders_per_second: float


async def phase(plan: Plan, state_dir: Path, log: Log) -> Outcome:
    """Everything that is started here is stopped here, whatever happens."""
    async with (
        ground(state_dir / "ground", plan.nodes, log) as under,
        running_shop(under, state_dir / "shop", name="chaos", log=log) as system,
    ):
        fleet = Fleet(system, log)
        log("starting a second instance of each service")
        await fleet.up()
        await seed(system)
        shoppers = Shoppers(system, await register(system, ["Ada", "Grace", "Edsger"]), plan.seed)
        await asyncio.sleep(REMEMBERED_S)
        faults = (*under.faults, lost_queue(system, log), *fleet.faults * SERVICES_OFTENER)
        struck = await _under_fire(plan, shoppers, fleet, faults, log)
        log(
            f"{len(struck)} faults injected, {len(shoppers.placed)} orders placed; waiting until all "
            "orders are at rest"
        )
        check_result = await judge(shoppers, copies_max=MAILS_IN_HAND * len(struck), wait_s=SETTLED_S_MAX)
        for error in fleet.background_errors():
            log(f"survived by {error}")
        check_result.broken += fleet.broken + _too_little(plan, len(shoppers.placed), len(struck))
    return Outcome(
        f"broker and database of {plan.nodes}", shoppers.placed, struck, check_result, shoppers.unsent
    )


async def _under_fire(
    plan: Plan, shoppers: Shoppers, fleet: Fleet, faults: tuple[Fault, ...], log: Log
) -> list[InjectedFault]:
    """Orders arrive all the time; at the end all faults have healed, and every instance is back."""
    struck: list[InjectedFault] = []
    dealt = rounds(faults, random.Random(f"{plan.seed} {plan.nodes}"))
    end = time.monotonic() + plan.seconds_max

    def enough() -> bool:
        done = len(struck) >= plan.faults and len(shoppers.placed) >= plan.orders
        return done or time.monotonic() > end

    async def strike(fault: Fault, moments: random.Random) -> None:
        began = utc_now()
        await fault.strike(moments)
        struck.append(InjectedFault(fault.name, began, utc_now()))
        took = (struck[-1].healed - began).total_seconds()
        log(
            f"{len(struck):>3} of {plan.faults}, {len(shoppers.placed)} orders: {fault.name}, healed "
            f"after {took:.1f} s"
        )

    async def strike_on() -> None:
        while not enough():
            await asyncio.gather(*(strike(*each) for each in next(dealt)))
            await asyncio.sleep(CALM_S)
        await fleet.all_back()

    restarting = asyncio.create_task(fleet.restart_ended())
    try:
        async with shoppers.client() as client, shoppers.staff_at_work(), asyncio.TaskGroup() as both:
            both.create_task(strike_on())
            both.create_task(shoppers.keep_ordering(client, plan.orders_per_second, enough))
    finally:
        restarting.cancel()
        await asyncio.wait([restarting])
    return struck


def rounds(faults: tuple[Fault, ...], moments: random.Random) -> Iterator[list[tuple[Fault, random.Random]]]:
    """One or two faults at once: each fault once in a random order, then all again.

    Each fault has its own random generator, so that two at once are reproducible.
    """
    decision_table: list[Fault] = []
    while True:
        decision_table = decision_table or moments.sample(faults, k=len(faults))
        hand = [decision_table.pop()]
        partner = next((fault for fault in decision_table if may_meet(hand[0], fault)), None)
        if partner is not None and moments.random() < PAIRED:
            decision_table.remove(partner)
            hand.append(partner)
        yield [(fault, random.Random(moments.random())) for fault in hand]


def may_meet(one: Fault, other: Fault) -> bool:
    """Two faults of one server may not overlap. Faults of services may overlap with any other."""
    return not any(server in one.name and server in other.name for server in ("broker", "database"))


def _too_little(plan: Plan, orders: int, faults: int) -> list[str]:
    if orders >= plan.orders and faults >= plan.faults:
        return []
    return [
        f"too little in {plan.seconds_max:.0f} s: {orders} orders of {plan.orders}, {faults} faults of "
        f"{plan.faults}"
    ]


@asynccontextmanager
async def running_shop(
    under: ChaosEnvironment, state_dir: Path, *, name: str, log: Log
) -> AsyncIterator[ProcessShop]:
    """`name`: of its virtual host, and the prefix of its databases."""
    system = ProcessShop(
        state_dir,
        under.infrastructure,
        vhost=name,
        database_prefix=f"{name}_",
        settings={"JOURNEY_ALLOW_FAULTS": "1"},
        delay_scale=DELAY_SCALE,
        own_ports=True,
    )
    system.processes = ForkServerProcesses(state_dir)
    try:
        await system.up(log)
        yield system
    finally:
        await system.down(log)
