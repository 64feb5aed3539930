"""The databases of services are set back to a backup while all others go on, and brought to agreement again.

Afterwards nothing is lost, and no capture, refund, mail or dispatch was repeated.
"""

import shutil
from collections import Counter
from contextlib import aclosing
from pathlib import Path
from typing import Any

import httpx
import pytest

from chassis.messaging.envelope import OPERATOR
from chassis.messaging.identity import new_id
from contracts import inventory, orders, products
from contracts.notifications import MailKind
from contracts.values import Money
from journey.admin import paging
from journey.admin.event_log import journal
from journey.admin.registry import SERVICES
from journey.devenv.process_shop import ProcessShop
from journey.devenv.shop import copies_in_mailbox
from tests.support.cli_runner import finish_journey
from tests.support.set_back_databases import back_up, backfilled, restored
from tests.support.system_fixtures import SKUS, OrderLoad
from tests.system.test_backfill import WAIT_S_MAX, journey

pytestmark = [pytest.mark.real, pytest.mark.system, pytest.mark.timeout(600)]

ONCE = (orders.OrderConfirmed, orders.OrderDispatched)


async def test_each_service_is_set_back_and_agrees_again(
    system: ProcessShop, order_load: OrderLoad, tmp_path: Path
) -> None:
    copies = tmp_path / "backup"
    await order_load.place(20)
    await back_up(system, copies)  # while orders are in progress
    await after_the_backup(system, order_load)
    ledger = await ledger_of(system)

    for service in SERVICES:
        await system.stop(service)
        if service != "user_svc":  # mails need the addresses
            await order_load.place(3)
        found = await restored(system, service, copies)
        assert found.rolled is not None and not found.rolled.left
        system.start(service)
        await system.ready([service])
        await backfilled(system, service, found.since)
        await order_load.all_end_as_expected(wait_s=WAIT_S_MAX)
        await order_load.doctor_agrees()

    assert {key: entry for key, entry in (await ledger_of(system)).items() if key in ledger} == ledger
    assert await most_copies_of_a_mail(system, order_load) == 1
    assert await most_events_of_a_type(system) == 1
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


async def after_the_backup(system: ProcessShop, order_load: OrderLoad) -> None:
    """More of everything: orders, cancellations, dispatched parcels, received goods, a new price."""
    before = list(order_load.expected)
    await order_load.place(20)
    await order_load.all_end_as_expected(wait_s=WAIT_S_MAX)
    confirmed = [order_id for order_id, status in order_load.expected.items() if status == "confirmed"]
    await dispatch(system, order_load, [order_id for order_id in confirmed if order_id in before][:4])
    await cancel(system, order_load, confirmed[-4:])
    receipt = inventory.ReceiveStock(receipt_id=new_id(), sku=SKUS[0], quantity=7)
    price = Money(amount_minor=1_234, currency="EUR")
    await system.send(OPERATOR, receipt, products.ChangePrice(sku=SKUS[1], price=price))
    await order_load.all_end_as_expected(wait_s=WAIT_S_MAX)
    await order_load.doctor_agrees()


async def dispatch(system: ProcessShop, order_load: OrderLoad, chosen: list[Any]) -> None:
    await system.send(OPERATOR, *(orders.DispatchOrder(order_id=order_id) for order_id in chosen))
    order_load.expected |= dict.fromkeys(chosen, "dispatched")


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


async def most_copies_of_a_mail(system: ProcessShop, order_load: OrderLoad) -> int:
    kinds = [MailKind.ORDER_CONFIRMED, MailKind.ORDER_DISPATCHED, MailKind.ORDER_CANCELLED]
    found = [await copies_in_mailbox(system, kind) for kind in (*kinds, MailKind.PAYMENT_REFUNDED)]
    return max(copies(order_id) for copies in found for order_id in order_load.expected)


async def most_events_of_a_type(system: ProcessShop) -> int:
    """How many different events of one type the journal has about one order."""
    ids: dict[tuple[str, str], set[str]] = {}
    async with aclosing(journal.read(system.endpoints.amqp_url(OPERATOR))) as entries:
        async for entry in entries:
            if (type_ := entry.wire_message.type) in [each.TYPE for each in ONCE]:
                key = str(type_), str(entry.wire_message.headers["subject"])
                ids.setdefault(key, set()).add(str(entry.wire_message.message_id))
    return max(Counter(map(len, ids.values())))
