"""Services are updated under load, from one release to another and back, in any order.

UPDATE_ROUNDS: how often, each time in another order; `make updates` sets it. UPDATE_SEED repeats one order.
"""

import os
import random
from pathlib import Path
from uuid import UUID

import pytest
from pymongo import AsyncMongoClient

from chassis.messaging.envelope import OPERATOR
from contracts import orders
from journey.devenv.infra.model import Infrastructure
from journey.devenv.process_shop import ROOT
from tests.support import invented_change
from tests.support.eventually import until
from tests.support.releases import Release, changed_copy, previous_release, releases, tree_of
from tests.support.rollout import SERVICES, Rollout, all_went_well, orders_during, shop_of

pytestmark = [pytest.mark.real, pytest.mark.system, pytest.mark.timeout(1200)]

ROUNDS = int(os.environ.get("UPDATE_ROUNDS", "1"))
WAIT_S = 300.0
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
        async with orders_during(rollout.system, chosen) as load:
            for _ in range(ROUNDS):
                await rollout.update_all(shuffled(SERVICES, chosen), ROOT)
                await rollout.update_all(shuffled(SERVICES, chosen), previous)
        await all_went_well(rollout, load, WAIT_S)


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
