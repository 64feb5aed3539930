"""Each service's database is set back while customers keep ordering and staff refund parts; then the broker
loses everything.

Afterwards nothing may be lost or duplicated, as after all other faults.
"""

import asyncio
import random
import time
from collections.abc import Awaitable
from pathlib import Path
from uuid import UUID

import httpx

from chassis.clock import utc_now
from contracts import orders
from contracts.catalog import NAMES
from journey.admin import paging
from journey.admin.backup import recovery
from journey.admin.backup.dump import connected
from journey.admin.progress_log import Log
from journey.admin.registry import SERVICES
from journey.devenv.process_shop import ProcessShop
from journey.devenv.shop import register, seed
from tests.chaos.environment import ground
from tests.chaos.invariants import judge
from tests.chaos.load import Shoppers
from tests.chaos.report import InjectedFault, Outcome
from tests.chaos.run import running_shop
from tests.support.set_back_databases import back_up, backfilled, restored

ORDERS_PER_SECOND = 4.0
BEFORE_BACKUP_S = 15.0  # so that orders are in progress
LOST_TIME_S = 60.0  # between the backup and the first restore
SETTLED_S_MAX = 150.0
RATE = 1_000.0
NAME = "databases set back, and a lost broker"


class Remembering(Shoppers):
    """Customers whose programs keep their commands until they see an event about the order."""

    def __init__(self, system: ProcessShop, customers: list[UUID], seed: int) -> None:
        super().__init__(system, customers, seed)
        self.commands: dict[UUID, orders.PlaceOrder] = {}

    def command(self) -> orders.PlaceOrder:
        command = super().command()
        self.commands[command.order_id] = command
        return command

    async def send_again(self) -> int:
        """The commands that order_svc does not know. Returns how many orders it did not know."""
        statuses = {UUID(each["order_id"]): each["status"] for each in await _orders(self.system)}
        unknown = [self.commands[each] for each in self.placed if each not in statuses]
        unwanted = [
            orders.CancelOrder(order_id=each, customer_id=self.commands[each].customer_id)
            for each, expected in self.expected.items()
            if expected == "cancelled" != statuses.get(each)
        ]
        await self.system.send(NAMES.client, *unknown, *unwanted)
        return len(unknown)


async def restore_drills(seed_: int, state_dir: Path, log: Log) -> Outcome:
    """Everything that is started here is stopped here, whatever happens."""
    async with (
        ground(state_dir / "ground", 1, log) as under,
        running_shop(under, state_dir / "shop", name="drills", log=log) as system,
    ):
        await seed(system)
        shoppers = Remembering(system, await register(system, ["Ada", "Grace", "Edsger"]), seed_)
        struck = await _drill(shoppers, state_dir / "backup", log)
        check_result = await judge(shoppers, copies_max=0, wait_s=SETTLED_S_MAX)
    return Outcome(NAME, shoppers.placed, struck, check_result, shoppers.unsent)


async def _drill(shoppers: Remembering, directory: Path, log: Log) -> list[InjectedFault]:
    system, done = shoppers.system, asyncio.Event()
    struck: list[InjectedFault] = []

    async def drill() -> None:
        await asyncio.sleep(BEFORE_BACKUP_S)
        await back_up(system, directory)
        await asyncio.sleep(LOST_TIME_S)
        for service in random.Random(shoppers.random.random()).sample(list(SERVICES), k=len(SERVICES)):
            name = f"database: {service} set back"
            struck.append(await _timed(name, _set_back(system, service, directory, log)))
        struck.append(await _timed("broker: everything lost", _lose_the_broker(shoppers, log)))
        done.set()

    async with shoppers.client() as client, shoppers.staff_at_work(), asyncio.TaskGroup() as both:
        both.create_task(drill())
        both.create_task(shoppers.keep_ordering(client, ORDERS_PER_SECOND, done.is_set))
    again = await shoppers.send_again()
    await shoppers.staff.repeat()
    log(f"{len(shoppers.placed)} orders placed; customers sent {again} of them again")
    return struck


async def _timed(name: str, strike: Awaitable[None]) -> InjectedFault:
    began = utc_now()
    await strike
    return InjectedFault(name, began, utc_now())


async def _set_back(system: ProcessShop, service: str, directory: Path, log: Log) -> None:
    began = time.monotonic()
    await system.stop(service)
    found = await restored(system, service, directory)
    system.start(service)
    await system.ready([service])
    count = await backfilled(system, service, found.since)
    rolled = found.rolled
    assert rolled is not None
    lost_s = (utc_now() - found.manifest.taken_at).total_seconds()
    log(
        f"{service} was set back by {lost_s:.0f} s: {rolled.decided} messages decided about again, "
        f"{rolled.recalled} events recalled, {rolled.left.total()} left, {count} backfilled; "
        f"it took {time.monotonic() - began:.0f} s"
    )


async def _lose_the_broker(shoppers: Remembering, log: Log) -> None:
    system = shoppers.system
    since = min(shoppers.placed.values())
    async with system.admin as admin:
        await admin.delete_vhost(system.endpoints.vhost)
    await system.apply_topology()
    await system.ready(list(SERVICES))
    async with connected(system.infrastructure.mongo_url) as client:
        again = [
            await recovery.publish_again(
                client, make(), f"{system.endpoints.database_prefix}{service}", since
            )
            for service, make in SERVICES.items()
        ]
    log(f"the broker lost everything; {sum(again)} documents publish their messages again")


async def _orders(system: ProcessShop) -> list[dict[str, str]]:
    async with httpx.AsyncClient(timeout=30) as http:
        pages = paging.pages(http, f"{system.endpoints.http['order_svc']}/orders")
        return [each async for each in pages]
