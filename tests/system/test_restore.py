"""The databases of services are set back to a backup while all others go on, and brought to agreement again.

Afterwards nothing is lost, and no capture, refund, return of goods, mail or dispatch was repeated.
"""

import shutil
from contextlib import aclosing
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx
import pytest

from chassis.bus.rabbitmq import RabbitBus
from chassis.clock import utc_now
from chassis.messaging.envelope import OPERATOR, WireMessage, read, wrap
from chassis.messaging.identity import new_id
from contracts import inventory, orders, payments, products
from contracts.catalog import CATALOG
from contracts.values import Money
from journey.admin import paging
from journey.admin.event_log import journal
from journey.admin.registry import SERVICES
from journey.devenv.process_shop import ProcessShop
from journey.devenv.shop import message_ids
from tests.support.cli_runner import finish_journey
from tests.support.set_back_databases import back_up, backfilled, restored
from tests.support.staff_load import REFUNDS
from tests.support.system_fixtures import SKUS, OrderLoad
from tests.system.test_backfill import WAIT_S_MAX, journey

pytestmark = [pytest.mark.real, pytest.mark.system, pytest.mark.timeout(600)]

ORDERS = "order_svc"
ONCE = (
    orders.OrderConfirmed,
    orders.OrderDispatched,
    orders.RefundRequested,
    payments.PaymentPartRefunded,
    payments.RefundRefused,
    orders.GoodsReturned,
    inventory.StockReturned,
)


async def test_each_service_is_set_back_and_agrees_again(
    system: ProcessShop, order_load: OrderLoad, tmp_path: Path
) -> None:
    copies, staff = tmp_path / "backup", order_load.staff
    earlier = await message_ids(system)  # of other tests
    await order_load.place(20)
    await order_load.all_end_as_expected(wait_s=WAIT_S_MAX)
    dispatched = order_load.of_status("confirmed")[: len(SERVICES) + 2]
    staff.take(dispatched[:4], refunds=2)
    await staff.all_served(wait_s=WAIT_S_MAX)
    await order_load.place(20)
    staff.take(dispatched[:4], refunds=3)
    await staff.serve()
    await back_up(system, copies)  # while orders and refunds are in progress
    await after_the_backup(system, order_load, dispatched)
    copies_of_events = await published_again(system, order_load)
    ledger = await ledger_of(system)

    for number, service in enumerate(SERVICES):
        await system.stop(service)
        if service != "user_svc":  # mails need the addresses
            await order_load.place(3)
            staff.take([dispatched[2 + number]], REFUNDS)
            await staff.serve()
        found = await restored(system, service, copies)
        assert found.rolled is not None and not found.rolled.left
        system.start(service)
        await system.ready([service])
        await staff.repeat()
        staff.take(dispatched[:1], REFUNDS + 1 + number)  # more than its total
        await staff.serve()
        await backfilled(system, service, found.since)
        await staff.all_served(wait_s=WAIT_S_MAX)
        await order_load.all_end_as_expected(wait_s=WAIT_S_MAX)
        await staff.refunds_agree(wait_s=WAIT_S_MAX)
        await order_load.doctor_agrees()

    assert {key: entry for key, entry in (await ledger_of(system)).items() if key in ledger} == ledger
    assert set((await message_ids(system) - earlier).values()) == {1}
    assert await most_events_of_a_type(system, but_for=copies_of_events) == 1
    assert "same status in order_svc" in await journey(system, "replay", "--check")


async def test_a_harmful_restore_is_refused(
    system: ProcessShop, order_load: OrderLoad, tmp_path: Path
) -> None:
    copies = tmp_path / "backup"
    await order_load.place(4)
    await order_load.all_end_as_expected(wait_s=WAIT_S_MAX)
    assert "product_svc: 4" in await journey(system, "backup", "product_svc", "--to", str(copies))
    code, output = await finish_journey(system.state_dir, "backup", "product_svc", "--to", str(copies))
    assert code == 1 and "has a backup of product_svc already" in output

    restore = ("restore", "product_svc", "--from", str(copies))
    code, output = await finish_journey(system.state_dir, *restore, "--replace")
    assert code == 2 and "product_svc runs at" in output
    await system.stop("product_svc")
    code, output = await finish_journey(system.state_dir, *restore)
    assert code == 2 and "products has documents" in output

    damaged = tmp_path / "damaged"
    shutil.copytree(copies, damaged)
    [documents] = damaged.glob("*product_svc/products.bson.gz")
    documents.write_bytes(documents.read_bytes()[:-20])
    before = await prices(system)
    code, output = await finish_journey(
        system.state_dir, "restore", "product_svc", "--from", str(damaged), "--replace"
    )
    assert code == 1 and "products.bson.gz" in output
    system.start("product_svc")
    await system.ready(["product_svc"])
    assert await prices(system) == before, "a damaged backup changes nothing"

    await system.stop("product_svc")
    output = await journey(system, *restore, "--replace")
    assert "next: start product_svc, then `journey backfill product_svc --since" in output
    system.start("product_svc")
    await system.ready(["product_svc"])
    await order_load.doctor_agrees()


async def after_the_backup(system: ProcessShop, order_load: OrderLoad, dispatched: list[UUID]) -> None:
    """More of everything: orders, cancellations, dispatched parcels, refunds, received goods, a new price.

    `dispatched`: by now or after the backup. The first ones are refunded completely, the others in part.
    """
    staff = order_load.staff
    before = list(order_load.expected)
    await order_load.place(20)
    await order_load.all_end_as_expected(wait_s=WAIT_S_MAX)
    confirmed = [each for each in order_load.of_status("confirmed") if each not in dispatched]
    await cancel(system, order_load, confirmed[-4:])
    staff.take([each for each in confirmed if each in before][:4])
    staff.take(dispatched[:2], REFUNDS)
    staff.take(dispatched[2:], refunds=3)
    await staff.receive(SKUS[0], 7)
    price = Money(amount_minor=1_234, currency="EUR")
    await system.send(OPERATOR, products.ChangePrice(sku=SKUS[1], price=price))
    await staff.all_served(wait_s=WAIT_S_MAX)
    await order_load.all_end_as_expected(wait_s=WAIT_S_MAX)
    await staff.refunds_agree(wait_s=WAIT_S_MAX)
    await order_load.doctor_agrees()


async def cancel(system: ProcessShop, order_load: OrderLoad, chosen: list[Any]) -> None:
    async with httpx.AsyncClient(base_url=system.endpoints.http["order_svc"]) as http:
        customers = {each: (await http.get(f"/orders/{each}")).json()["customer_id"] for each in chosen}
    commands = [orders.CancelOrder(order_id=each, customer_id=who) for each, who in customers.items()]
    await system.send("client", *commands)
    order_load.expected |= dict.fromkeys(chosen, "cancelled")


async def ledger_of(system: ProcessShop) -> dict[str, Any]:
    async with httpx.AsyncClient() as http:
        pages = paging.pages(http, f"{system.endpoints.http['payment_svc']}/provider/ledger")
        return {entry["key"]: entry async for entry in pages}


async def prices(system: ProcessShop) -> dict[str, Any]:
    async with httpx.AsyncClient(base_url=system.endpoints.http["order_svc"]) as http:
        return {sku: (await http.get(f"/prices/{sku}")).json() for sku in SKUS}


async def published_again(system: ProcessShop, order_load: OrderLoad) -> set[str]:
    """Requests of refunds that are done, and their goods, under other message ids: as from an order_svc that
    knows nothing of the first ones. Returns these ids.

    A request that was refused would be refused again.
    """
    done = {refund.refund_id for order in order_load.staff.orders.values() for refund in order.done}
    bus, again = RabbitBus(system.endpoints.amqp_url(ORDERS)), list[WireMessage]()
    async with aclosing(journal.read(system.endpoints.amqp_url(OPERATOR))) as entries:
        async for entry in entries:
            if (type_ := entry.wire_message.type) in (orders.RefundRequested.TYPE, orders.GoodsReturned.TYPE):
                event = read(CATALOG[str(type_)], entry.wire_message.body)
                if getattr(event, "refund_id", None) in done:
                    envelope = wrap(event, id=str(new_id()), source=ORDERS, now=utc_now())
                    again.append(envelope.wire_message(CATALOG))
    await bus.start()
    try:
        assert again and await bus.publish(again) == [None] * len(again)
    finally:
        await bus.stop()
    return {str(wire_message.message_id) for wire_message in again}


async def most_events_of_a_type(system: ProcessShop, *, but_for: set[str]) -> int:
    """How many different events of one type the journal has about one order, or about one refund."""
    ids: dict[tuple[object, ...], set[str]] = {}
    async with aclosing(journal.read(system.endpoints.amqp_url(OPERATOR))) as entries:
        async for entry in entries:
            if (type_ := str(entry.wire_message.type)) in [each.TYPE for each in ONCE]:
                event = read(CATALOG[type_], entry.wire_message.body)
                key = type_, event.subject, getattr(event, "refund_id", None)
                ids.setdefault(key, set()).add(str(entry.wire_message.message_id))
    return max(len(each - but_for) for each in ids.values())
