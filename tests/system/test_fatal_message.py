"""A message that kills its service's process each time, among 300 healthy orders."""

import asyncio
from collections import Counter

import pytest

from chassis.bus.retry_ladder import RETURNS_SUSPECT
from chassis.core.retry import RETURNS_MAX
from journey.admin.dead_letters.reader import read as read_dead_letters
from journey.admin.event_log.journal import read as read_journal
from journey.admin.registry import SERVICES
from journey.devenv.process_shop import ProcessShop
from tests.support.eventually import until
from tests.support.fork_server import CHANGED_BY
from tests.support.system_fixtures import OrderLoad
from tests.system.fatal import FATAL_ORDERS

pytestmark = [pytest.mark.real, pytest.mark.system, pytest.mark.timeout(1200)]

ORDERS = 300
WAIT_S = 300.0
# deaths before the culprit is suspected, the last one, and one for a republish
COPIES_MAX = RETURNS_SUSPECT + 2


async def test_a_fatal_message_is_dead_lettered_and_300_orders_end(
    system: ProcessShop, order_load: OrderLoad
) -> None:
    await system.stop("order_svc")
    await order_load.place(ORDERS // 2)
    fatal = order_load.command()
    del order_load.expected[fatal.order_id]
    await system.send("client", fatal)
    await order_load.place(ORDERS // 2)
    settings = {CHANGED_BY: "tests.system.fatal", FATAL_ORDERS: str(fatal.order_id)}
    deaths = -1

    async def start_whenever_dead() -> None:
        nonlocal deaths
        while True:
            if system.processes.running("order_svc") is None:
                deaths += 1
                system.start("order_svc", 1, **settings)
            await asyncio.sleep(0.05)

    starting = asyncio.create_task(start_whenever_dead())
    try:
        await order_load.all_end_as_expected(wait_s=WAIT_S)
        dead = await until(system.dead, lambda dead: any(dead.values()), within_s=WAIT_S)
        assert dead == dict.fromkeys(dead, 0) | {"order_svc": 1}
        died = deaths
        await order_load.place(20)
        await order_load.all_end_as_expected(wait_s=WAIT_S)
        assert deaths == died, "the process died again after the message had been given up"
    finally:
        starting.cancel()
        await asyncio.wait([starting])
    assert RETURNS_SUSPECT < died <= RETURNS_MAX

    operator = system.endpoints.amqp_url("operator")
    dead_letters = await read_dead_letters(operator, list(SERVICES))
    assert [(dead_letter.journey_id, dead_letter.error_type) for dead_letter in dead_letters] == [
        (str(fatal.order_id), "PoisonMessage")
    ]
    copies = Counter([entry.wire_message.message_id async for entry in read_journal(operator)])
    assert max(copies.values()) <= COPIES_MAX
    print(f"{died} deaths; copies of an event -> events: {dict(Counter(copies.values()))}")
