"""Each service in turn is set back to an earlier copy of its database while all others go on.

Afterwards all agree, and no effect outside the shop was repeated.
"""

import asyncio
import os
import random
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import pytest

from chassis.bus.memory import MemoryBus
from chassis.messaging.envelope import wrap
from chassis.messaging.identity import new_id
from chassis.runtime import Runtime
from contracts.catalog import CATALOG, NAMES
from contracts.users import UserErased
from gateway.delivery.sealing import AddressSealing
from gateway.service import gateway_service
from journey.admin.registry import SERVICES, shop_topology
from tests.support.eventually import until
from tests.support.set_back import SetBack
from tests.support.shops.in_memory import run_in_memory_shop

EVENTS_ONCE = {
    "order.confirmed.v1",
    "order.dispatched.v1",
    "order.goods_returned.v1",
    "payment.captured.v1",
    "payment.part_refunded.v1",
}


@pytest.fixture
async def drill(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[SetBack]:
    monkeypatch.setattr("journey.devenv.memory_shop.shop_topology", lambda: shop_topology(0.01))
    seed = int(os.environ.get("SET_BACK_SEED", random.randrange(10**6)))
    print(f"SET_BACK_SEED={seed}")
    async with run_in_memory_shop() as shop:
        drill = SetBack(shop, seed)
        await drill.begin()
        yield drill


@pytest.mark.parametrize("service", SERVICES)
async def test_a_service_that_was_set_back_agrees_with_all_others(drill: SetBack, service: str) -> None:
    await drill.order(10)
    before = drill.copy_of(service)  # with orders in progress
    await drill.order(10)
    await drill.change_price(1_000)
    await drill.receive(5)
    await drill.at_rest()
    await drill.order(10)
    await drill.dispatch_some()
    await drill.at_rest()
    await drill.refund_some()
    await drill.at_rest()
    after = drill.copy_of(service)
    ledger = await drill.all_of("provider/ledger", "payment_svc")

    await drill.shop.stop(service)
    live = asyncio.create_task(drill.order(5)) if service != "user_svc" else None
    result = await drill.restore(service, before)
    print(result)
    if live:
        await live
    drill.shop.start(service)
    await drill.shop.ready([service])
    await drill.backfill(service)
    await drill.at_rest()

    assert not drill.shop._broker.dead(service)
    assert not drill.published("payment.refund_refused.v1")
    again = await drill.all_of("provider/ledger", "payment_svc")
    assert [entry for entry in again if entry in ledger] == ledger, "an earlier effect has changed"
    assert set(drill.copies_of_mails().values()) <= {1}
    assert effects_of(drill) <= {1}
    assert states(after, drill.copy_of(service)) == []


async def test_a_restored_gateway_keeps_erased_addresses_erased(drill: SetBack) -> None:
    """Its own restore reads the erasure from the journal: no other step has to bring it."""
    [customer, other, *_] = drill.customers
    gateway = AddressSealing(drill.shop._runtimes["gateway"])
    for each in (customer, other):
        await gateway.for_writing(each)
    before = drill.copy_of("gateway")
    erased = wrap(UserErased(user_id=customer), id=str(new_id()), source="user_svc", now=datetime.now(UTC))
    await MemoryBus(drill.shop._broker, "user_svc").publish([erased.wire_message(CATALOG)])

    async def is_erased() -> bool:
        return (await gateway.for_reading(customer)).is_erased

    await until(is_erased)
    await drill.shop.stop("gateway")
    await drill.restore("gateway", before)
    gateway = AddressSealing(
        Runtime(gateway_service(), MemoryBus(drill.shop._broker, "gateway"), drill.shop._stores["gateway"])
    )
    assert await is_erased()
    assert not (await gateway.for_reading(other)).is_erased
    drill.shop.start("gateway")
    await drill.shop.ready(["gateway"])


def effects_of(drill: SetBack) -> set[int]:
    """How many different events of one type there are about one order."""
    ids: dict[tuple[str, str], set[str]] = {}
    for each in drill.shop._broker.tapped:
        if each.exchange == NAMES.events and each.type in EVENTS_ONCE:
            ids.setdefault((each.type, each.headers["subject"]), set()).add(str(each.message_id))
    return {len(each) for each in ids.values()}


# No event has the time of a command of customers or staff; its own is a moment later. Of two messages that
# ended an order alike, the order is lost.
UNKNOWABLE = {"placed_at", "sort_key", "dispatched_at"}
UNKNOWABLE |= {"stock_reserved", "payment_authorized", "confirmed", "cancelled"}


def states(before: dict[str, Any], after: dict[str, Any]) -> list[str]:
    """Where the states differ, as far as they can be known."""
    found = []
    for kind, documents in before.items():
        if kind in ("shelves", "retention"):  # live orders move goods, too
            continue
        for key, document in documents.items():
            then, now = document.loaded.state, after[kind][key].loaded.state if key in after[kind] else {}
            differing = {name for name in then.keys() | now.keys() if then.get(name) != now.get(name)}
            found += [
                f"{kind} {key}: {name} {then.get(name)} -> {now.get(name)}"
                for name in sorted(differing - UNKNOWABLE)
            ]
    return found
