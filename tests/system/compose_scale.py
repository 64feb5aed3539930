"""Scales the shop in containers under load, and kills instances: `python -m tests.system.compose_scale`.

Needs a shop started with `JOURNEY_INFRA=docker make up`. tests/system/test_scale.py does the same with
processes.
"""

import asyncio
import random
import sys
from typing import Any, cast

from journey.admin.instances import counts
from journey.cli.console import log, state_dir
from journey.devenv.compose_shop import ComposeShop
from journey.devenv.infra.commands import run
from journey.devenv.launcher import running_shop
from journey.devenv.process_shop import ROOT
from journey.devenv.shop import register
from tests.support.system_fixtures import OrderLoad

MORE = {"order_svc": 3, "payment_svc": 2}
WAIT_S = 240.0


async def main() -> None:
    shop = await running_shop(state_dir())
    if not isinstance(shop, ComposeShop):
        sys.exit("the shop is not running in containers; start it with `JOURNEY_INFRA=docker make up`")
    order_load = OrderLoad(cast(Any, shop), await register(shop, ["Ada", "Grace"]), random.randrange(10**6))
    enough = asyncio.Event()
    load = asyncio.create_task(order_load.place_over_time(100, pause_s=0.1, until=enough.is_set))
    await shop.scale(MORE, log)
    _see(shop, MORE)
    for service in MORE:
        await _kill_one(service)
    await shop.locate()
    _see(shop, {service: count - 1 for service, count in MORE.items()})
    await order_load.place(50)
    await shop.scale(MORE, log)
    _see(shop, MORE)
    await shop.scale(dict.fromkeys(MORE, 1), log)
    _see(shop, dict.fromkeys(MORE, 1))
    enough.set()
    await load
    await order_load.all_end_as_expected(wait_s=WAIT_S)
    await order_load.one_mail_each(wait_s=WAIT_S)
    await order_load.doctor_agrees()
    log(f"{len(order_load.expected)} orders ended as they should, with instances started, killed and stopped")


def _see(shop: ComposeShop, wanted: dict[str, int]) -> None:
    found = {service: counts(shop.endpoints.http).get(service, 0) for service in wanted}
    assert found == wanted, f"{found} run instead of {wanted}"


async def _kill_one(service: str) -> None:
    code, listed = await run(
        ["docker", "compose", "--project-directory", ROOT, "ps", "-q", service], timeout_s=30
    )
    assert code == 0, listed
    victim = listed.split()[0]
    code, output = await run(["docker", "kill", victim], timeout_s=30)
    assert code == 0, output
    log(f"killed an instance of {service}")


if __name__ == "__main__":
    asyncio.run(main())
