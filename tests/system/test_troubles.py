"""A poison message, a bug in one handler and a provider outage at once under load:
everything else is unaffected.

Healthy orders continue, the outage heals by itself, and the bug's messages wait until it is fixed. Then they
are redriven, and their orders end like all others: once.
"""

import asyncio
from collections.abc import Collection
from typing import Any
from uuid import UUID

import aio_pika
import httpx
import pytest

from chassis.bus.retry_ladder import RetryLadder
from contracts import orders
from contracts.catalog import NAMES
from journey.admin import paging
from journey.devenv.process_shop import ProcessShop
from tests.support.cli_runner import finish_journey, printed_json
from tests.support.eventually import until
from tests.support.system_fixtures import OrderLoad, placing

pytestmark = [pytest.mark.real, pytest.mark.system, pytest.mark.timeout(1200)]

BUGGY = "LAMP-DESK"
BUG = {"JOURNEY_ALLOW_FAULTS": "1", "INVENTORY_FAULT_SKU": BUGGY}
WAIT_S = 300.0
WAITING_FOR_PAYMENT = 100
DELAY_SCALE = 0.004
# Three times as long as a message takes from its first failure to the dead letters: postponing is no failure.
OUTAGE_S_MIN = 3 * DELAY_SCALE * sum(rung.delay_ms for rung in RetryLadder().rungs) / 1000

Json = dict[str, Any]
Group = tuple[str, str, str]


@pytest.mark.parametrize("system", [{"delay_scale": DELAY_SCALE, **BUG}], indirect=True)
async def test_poison_bug_and_outage_together_lose_no_healthy_order(
    system: ProcessShop, order_load: OrderLoad
) -> None:
    outage = f"{system.endpoints.http['payment_svc']}/provider/outage"
    async with httpx.AsyncClient(timeout=60) as http:
        async with placing(order_load, 0, 0.1):
            await until(lambda: some_ended(http, system), within_s=WAIT_S)
            (await http.put(outage)).raise_for_status()
            await poison(system)
            await asyncio.sleep(OUTAGE_S_MIN)
            await until(lambda: many_wait_for_payment_alone(http, system), within_s=WAIT_S)
            assert (await system.dead())["payment_svc"] == 0, "an outage dead-letters no message"
            (await http.delete(outage)).raise_for_status()
            during_outage = len(order_load.expected)
            await until(
                lambda: len(order_load.expected) >= during_outage + WAITING_FOR_PAYMENT, within_s=WAIT_S
            )
        hit = await with_the_article(http, system, len(order_load.expected))

    stuck = {order_id: order_load.expected.pop(order_id) for order_id in hit}
    assert len(stuck) >= 5
    assert len(order_load.expected) > len(stuck)
    await order_load.all_end_as_expected(wait_s=WAIT_S)  # the healthy ones: nothing is repaired yet
    bug = ("inventory_svc", orders.OrderPlaced.TYPE, "RuntimeError")
    garbled = ("order_svc", orders.PlaceOrder.TYPE, "Malformed")
    await until(lambda: all_are_dead(system, bug, stuck), within_s=WAIT_S)
    assert {group: len(ids) for group, ids in (await groups(system)).items()} == {bug: len(stuck), garbled: 1}

    await system.stop("inventory_svc")
    system.start("inventory_svc", INVENTORY_FAULT_SKU="")
    await system.ready(["inventory_svc"])
    await redrive(system)
    await dlq(system, "drop", "--service", "order_svc", "--reason", "a stranger's broken program", "--yes")
    order_load.expected |= stuck
    await order_load.all_end_as_expected(wait_s=WAIT_S)
    await order_load.one_mail_each(wait_s=WAIT_S)
    # a lost connection makes copies; those that were dead-lettered later are harmless, too
    await redrive(system)
    # including: one capture each, every piece sold once, no dead letter left
    await order_load.doctor_agrees(wait_s=WAIT_S)
    assert await groups(system) == {}
    print(f"{len(order_load.expected)} orders, {len(stuck)} of them hit by the bug and redriven")


async def poison(system: ProcessShop) -> None:
    """A message that no consumer can parse, from a user with write permission."""
    connection = await aio_pika.connect(system.endpoints.amqp_url(NAMES.client))
    async with connection:
        channel = await connection.channel(publisher_confirms=True, on_return_raises=True)
        exchange = await channel.get_exchange(NAMES.commands, ensure=False)
        type_ = orders.PlaceOrder.TYPE
        message = aio_pika.Message(
            b'{"order_id": ',
            content_type="application/json",
            message_id="poison",
            type=type_,
            user_id=NAMES.client,
        )
        await exchange.publish(message, routing_key=type_)


async def known(http: httpx.AsyncClient, system: ProcessShop) -> list[Json]:
    return [order async for order in paging.pages(http, f"{system.endpoints.http['order_svc']}/orders")]


async def some_ended(http: httpx.AsyncClient, system: ProcessShop) -> bool:
    return len([order for order in await known(http, system) if order["status"] == "confirmed"]) >= 10


async def many_wait_for_payment_alone(http: httpx.AsyncClient, system: ProcessShop) -> bool:
    """Their goods were reserved during the outage of the provider: events still flow."""
    waiting = [order for order in await known(http, system) if order["awaits"] == ["payment"]]
    return len(waiting) >= WAITING_FOR_PAYMENT


async def with_the_article(http: httpx.AsyncClient, system: ProcessShop, count: int) -> list[UUID]:
    """The orders that the bug affects, once order_svc knows all that were placed."""
    all_ = await until(lambda: known(http, system), lambda found: len(found) >= count, within_s=WAIT_S)
    return [UUID(order["order_id"]) for order in all_ if any(line["sku"] == BUGGY for line in order["lines"])]


async def groups(system: ProcessShop) -> dict[Group, set[str]]:
    """Dead letters grouped by service, type and error, as in `journey dlq list`:
    the journeys of each group.
    """
    dead_letters: list[Json] = printed_json(await dlq(system, "list", "--json"))
    found: dict[Group, set[str]] = {}
    for dead_letter in dead_letters:
        group = dead_letter["service"], dead_letter["type"], dead_letter["error_type"]
        found.setdefault(group, set()).add(dead_letter["journey_id"])
    return found


async def all_are_dead(system: ProcessShop, group: Group, journeys: Collection[UUID]) -> bool:
    return (await groups(system)).get(group, set()) >= {str(journey) for journey in journeys}


async def redrive(system: ProcessShop) -> None:
    await dlq(system, "redrive", "--service", "inventory_svc", "--error", "INVENTORY_FAULT_SKU", "--yes")


async def dlq(system: ProcessShop, *parts: str) -> str:
    """Run `journey dlq …` as an operator would, in a separate process; returns its output."""
    code, printed = await finish_journey(system.state_dir, "dlq", *parts)
    assert code == 0, printed
    return printed
