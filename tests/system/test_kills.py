"""SIGKILL each service in turn, at random moments, under load: nothing is lost, nothing happens twice."""

import asyncio
import os
import random

import pytest

from journey.admin.registry import SERVICES
from journey.devenv.process_shop import ProcessShop
from notification_svc.service import EFFECTS_MAX
from tests.support.system_fixtures import OrderLoad

pytestmark = [pytest.mark.real, pytest.mark.system, pytest.mark.timeout(1200)]

KILLS_EACH = int(os.environ.get("KILLS_EACH", "20"))
ORDERS = 300


async def test_no_kill_loses_or_doubles_anything(system: ProcessShop, order_load: OrderLoad) -> None:
    seed = int(os.environ.get("KILL_SEED", random.randrange(10**6)))
    print(f"KILL_SEED={seed}: {KILLS_EACH} kills of each of {len(SERVICES)} services")
    moments = random.Random(seed)
    killed = 0

    def all_killed() -> bool:
        return killed == KILLS_EACH * len(SERVICES)

    async def kill_in_turn() -> None:
        nonlocal killed
        for _ in range(KILLS_EACH):
            for name in SERVICES:
                # Anything may be in progress then, including the start after the last kill.
                await asyncio.sleep(moments.uniform(0, 0.6))
                await system.kill(name)
                system.start(name)
                killed += 1
            await system.ready(list(SERVICES))

    placing = order_load.place_over_time(ORDERS, pause_s=0.5, until=all_killed)
    await asyncio.gather(kill_in_turn(), placing)
    await order_load.all_end_as_expected(wait_s=300)
    # SMTP has no exactly-once across a crash between "accepted" and "recorded": a copy has the same
    # Message-ID. On a busy machine the same few mails may be in flight at several kills.
    again = await order_load.one_mail_each(wait_s=300, copies_max=1 + KILLS_EACH)
    assert again <= KILLS_EACH * EFFECTS_MAX, "more copies than mails in flight at a kill of notification_svc"
    await order_load.doctor_agrees()
    print(f"{killed} kills, {len(order_load.expected)} orders, {again} further copies of mails")
