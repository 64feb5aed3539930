"""Services are updated under load, from one release to another and back, in any order.

UPDATE_ROUNDS: how often, each time in another order; `make updates` sets it. UPDATE_SEED repeats one order.
"""

import asyncio
import os
import random
from functools import partial
from pathlib import Path
from uuid import UUID

import httpx
import pytest
from pymongo import AsyncMongoClient

from chassis.messaging.envelope import OPERATOR
from chassis.web.app import FINISH_S
from contracts import orders
from journey.admin.endpoints import GATEWAY
from journey.devenv import demo_users
from journey.devenv.infra.model import Infrastructure
from journey.devenv.process_shop import ROOT, ProcessShop
from tests.support import invented_change
from tests.support.eventually import until
from tests.support.releases import Release, changed_copy, previous_release, releases, tree_of
from tests.support.rollout import (
    OPERATIONS,
    SERVICES,
    Rollout,
    all_went_well,
    erasures_during,
    orders_during,
    shop_of,
)
from tests.support.staff_at_work import SKU, StaffMember, staff_at_work

pytestmark = [pytest.mark.real, pytest.mark.system, pytest.mark.timeout(1200)]

ROUNDS = int(os.environ.get("UPDATE_ROUNDS", "1"))
WAIT_S = 300.0
LONGER_THAN_FINISH_S = FINISH_S + 2  # without a share of the drain such a request would be cut off
# The services whose messages the invented change concerns.
CONCERNED = ("inventory_svc", "payment_svc", "notification_svc", "gateway")
OLD_RELEASES = releases() if ROUNDS > 1 else [previous_release()]


@pytest.fixture
def chosen(request: pytest.FixtureRequest) -> random.Random:
    seed = int(os.environ.get("UPDATE_SEED", random.randrange(10**6)))
    print(f"UPDATE_SEED={seed}")
    return random.Random(seed)


def shuffled(services: tuple[str, ...], chosen: random.Random) -> list[str]:
    return chosen.sample(services, len(services))


@pytest.mark.parametrize("release", OLD_RELEASES, ids=lambda release: release.tag)
async def test_every_service_is_updated_and_rolled_back_under_load(
    real_infrastructure: Infrastructure, tmp_path: Path, chosen: random.Random, release: Release
) -> None:
    previous = tree_of(release)
    async with shop_of(previous, real_infrastructure, tmp_path) as rollout:
        user = (await demo_users.ensure(rollout.system)).staff
        before = await received(rollout.system)
        async with (
            staff_at_work(rollout.shop_url, user, members=3) as staff,
            orders_during(rollout.system, chosen) as load,
            erasures_during(rollout.system) as erased,
        ):
            for _ in range(ROUNDS):
                await rollout.update_all(shuffled(SERVICES, chosen), ROOT)
                for service in (OPERATIONS, GATEWAY):
                    await a_request_in_flight_survives(rollout, staff[0], service)
                await rollout.update_all(shuffled(SERVICES, chosen), previous)
        await all_went_well(rollout, load, WAIT_S)
        accepted = before + sum(member.received for member in staff)
        assert await until(partial(received, rollout.system), lambda now: now >= accepted) == accepted
        # The previous release of the gateway left the erasures to this one.
        await rollout.update(GATEWAY, ROOT)
        await until(partial(erased_at_the_gateway, rollout), erased.issubset, within_s=WAIT_S)
        assert not any((await rollout.system.dead()).values())


async def erased_at_the_gateway(rollout: Rollout) -> set[str]:
    """The users whose delivery addresses are unreadable."""
    infrastructure, endpoints = rollout.system.infrastructure, rollout.system.endpoints
    async with AsyncMongoClient[dict[str, object]](infrastructure.mongo_url) as client:
        keys = client[f"{endpoints.database_prefix}{GATEWAY}"]["address_keys"]
        return {str(each["_id"]) async for each in keys.find({"state.status": "erased"})}


async def a_request_in_flight_survives(rollout: Rollout, member: StaffMember, service: str) -> None:
    """An instance that stops takes no new connection, and finishes what it has begun.

    The request goes through the gateway to operations.
    """
    stopping = rollout.address(service)
    begun, finish = asyncio.Event(), asyncio.Event()
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(member.receive_slowly(begun, finish))
        await begun.wait()
        updating = tasks.create_task(rollout.update(service, ROOT))
        await until(lambda: refuses(stopping), within_s=WAIT_S)
        await asyncio.sleep(LONGER_THAN_FINISH_S)
        assert not updating.done(), "it waits for the request"
        finish.set()


async def refuses(address: str) -> bool:
    try:
        async with httpx.AsyncClient() as http:
            await http.get(f"{address}/healthz")
    except httpx.ConnectError:
        return True
    except httpx.TransportError:  # it closes a connection that it has just accepted
        return False
    return False


async def received(system: ProcessShop) -> int:
    """How many pieces have come in so far."""
    async with httpx.AsyncClient(timeout=60) as http:
        response = await http.get(f"{system.endpoints.http['inventory_svc']}/stock/{SKU}")
    return int(response.raise_for_status().json()["received"])


async def test_a_new_event_version_reaches_consumers_of_both_releases(
    real_infrastructure: Infrastructure, tmp_path: Path, chosen: random.Random
) -> None:
    """The wrong order first: order_svc emits the new version before any consumer reads it."""
    reading = changed_copy(tmp_path / "reads", invented_change.reads)
    writing = changed_copy(tmp_path / "writes", invented_change.writes)
    async with shop_of(ROOT, real_infrastructure, tmp_path / "state") as rollout:
        await rollout.apply_topology(writing)
        for _ in range(ROUNDS):
            async with orders_during(rollout.system, chosen) as load:
                await rollout.update("order_svc", writing)
                await until(lambda: "other_release" in rollout.logs(), within_s=60)
                await rollout.update_all(shuffled(CONCERNED, chosen), writing)
                await rollout.update_all(shuffled(("order_svc", *CONCERNED), chosen), reading)
            await all_went_well(rollout, load, WAIT_S)  # so that nothing of the new version is left
            async with orders_during(rollout.system, chosen) as load:
                await rollout.update_all(shuffled(("order_svc", *CONCERNED), chosen), ROOT)
            await all_went_well(rollout, load, WAIT_S)
        await _keeps_the_new_field(rollout)


async def _keeps_the_new_field(rollout: Rollout) -> None:
    """order_svc of this checkout writes an order that the later release has placed."""
    infrastructure, endpoints = rollout.system.infrastructure, rollout.system.endpoints
    async with AsyncMongoClient[dict[str, object]](infrastructure.mongo_url) as client:
        stored = client[f"{endpoints.database_prefix}order_svc"]["orders"]
        of_later_release = {"state.gift_note": invented_change.GIFT_NOTE}
        order = await stored.find_one({**of_later_release, "state.status": "confirmed"})
        assert order is not None, "the later release placed no order"
        dispatched = {"_id": order["_id"], "state.status": "dispatched"}
        await rollout.system.send(OPERATOR, orders.DispatchOrder(order_id=UUID(str(order["_id"]))))
        await until(lambda: stored.find_one(dispatched), within_s=30)
        assert await stored.find_one({**dispatched, **of_later_release}) is not None
