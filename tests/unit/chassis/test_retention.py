"""The retention rules are applied to documents that an earlier version wrote."""

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Any

import httpx
import pytest
from pymongo import AsyncMongoClient

from chassis import retention
from chassis.bus.memory import MemoryBroker, MemoryBus, MemoryStore
from chassis.bus.topology import build
from chassis.retention import AGAIN_AFTER, KIND, NOTICE, PAGE, bring_in_accord
from chassis.runtime import Runtime
from chassis.store.mongodb import MongoStore
from chassis.store.protocol import Change, Dated, Store, StoreRefused, StoreUnavailable
from chassis.web import app
from contracts.http.orders import OrderStatus
from journey.devenv.infra.model import Infrastructure
from order_svc.order import Order
from order_svc.service import order_service
from tests.conformance.store.test_store import handled, load, put
from tests.support.eventually import until
from tests.support.pending_message_factory import NOW
from tests.support.recording_consumer import WAIT_S_MAX

KEPT = timedelta(days=60)
SERVICE = order_service(ttl=KEPT)
[ORDERS] = [aggregate for aggregate in SERVICE.aggregates if aggregate.kind == "orders"]
LONG_AGO, LATELY = NOW - timedelta(days=900), NOW - timedelta(days=1)


@pytest.fixture(autouse=True)
def _no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retention, "PAUSE_S", 0)


def state(status: OrderStatus) -> dict[str, Any]:
    return ORDERS.codec.dump(Order(status=status))


async def accord(store: Store, days: int = 0, ttl: timedelta = KEPT) -> None:
    aggregate = replace(ORDERS, ttl=ttl)
    await bring_in_accord(SERVICE.name, aggregate, store, clock=lambda: NOW + timedelta(days=days))


async def dates(store: Store) -> dict[str, Any]:
    return {each.key: each.kept_until for each in await store.dated("orders", after="", limit=PAGE)}


async def test_documents_without_an_expiry_date_get_one_by_rule() -> None:
    store = MemoryStore()
    for key, status, at in (
        ("cancelled long ago", OrderStatus.CANCELLED, LONG_AGO),
        ("dispatched lately", OrderStatus.DISPATCHED, LATELY),
        ("of unknown time", OrderStatus.REJECTED, None),
        ("confirmed", OrderStatus.CONFIRMED, LONG_AGO),
        ("placed", OrderStatus.PLACED, LONG_AGO),
    ):
        await put(store, key, state(status), changed_at=at)
    await put(
        store,
        "to publish",
        state(OrderStatus.CANCELLED),
        handled=[handled()],
        unpublished=True,
        changed_at=LONG_AGO,
    )
    await put(store, "with a deadline", state(OrderStatus.CANCELLED), deadline_at=NOW, changed_at=LONG_AGO)
    await put(store, "unreadable", {"status": 7}, changed_at=LONG_AGO)
    await accord(store)
    dated = await dates(store)
    assert {key: at for key, at in dated.items() if at} == {
        "cancelled long ago": NOW + NOTICE,
        "dispatched lately": LATELY + KEPT,
        "of unknown time": NOW + KEPT,
    }
    assert (await load(store, "dispatched lately")).version == 1, "the order itself is unchanged"
    await accord(store)
    assert await dates(store) == dated


async def test_open_documents_lose_their_date_and_no_date_moves_earlier() -> None:
    store = MemoryStore()
    later = NOW + timedelta(days=3_000)
    await put(store, "confirmed", state(OrderStatus.CONFIRMED), changed_at=LATELY, kept_until=later)
    await put(store, "kept longer", state(OrderStatus.CANCELLED), changed_at=LATELY, kept_until=later)
    await put(
        store,
        "too short",
        state(OrderStatus.CANCELLED),
        changed_at=LATELY,
        kept_until=NOW + timedelta(days=9),
    )
    await accord(store)
    assert await dates(store) == {"confirmed": None, "kept longer": later, "too short": LATELY + KEPT}


async def test_rules_are_reapplied_weekly_and_after_a_change() -> None:
    store = MemoryStore()
    await accord(store)
    await put(store, "a", state(OrderStatus.CANCELLED), changed_at=LATELY)
    await accord(store)
    assert await dates(store) == {"a": None}, "it was done less than a week ago"
    await accord(store, AGAIN_AFTER.days)
    assert await dates(store) == {"a": LATELY + KEPT}
    await accord(store, AGAIN_AFTER.days, ttl=2 * KEPT)
    assert await dates(store) == {"a": LATELY + 2 * KEPT}


class Refusing(MemoryStore):
    """A store with a full disk; `asked` counts the calls."""

    asked = 0

    async def dated(self, kind: str, *, after: str, limit: int) -> list[Dated]:
        self.asked += 1
        raise StoreRefused("no space left on device")


async def test_retention_tries_again_after_a_refused_write(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retention, "LOOKS_EVERY_S", 0.01)
    store = Refusing()
    task = asyncio.ensure_future(retention.keep_in_accord(SERVICE, store, lambda: NOW, 0))
    await until(lambda: task.done() or store.asked > 1, within_s=WAIT_S_MAX)
    assert not task.done(), "it tries again"
    task.cancel()


class Interrupted(MemoryStore):
    """Fails at the third page; `pages` lists those that were read."""

    def __init__(self) -> None:
        super().__init__()
        self.pages: list[str] = []
        self.fails = True

    async def dated(self, kind: str, *, after: str, limit: int) -> list[Dated]:
        self.pages.append(after)
        if self.fails and len(self.pages) == 3:
            raise StoreUnavailable("away")
        return await super().dated(kind, after=after, limit=limit)


async def test_pages_are_read_one_by_one_and_resumed() -> None:
    store, many = Interrupted(), 3 * PAGE + 7
    await store.save(
        [Change(await load(store, f"{n:05}"), state(OrderStatus.CANCELLED)) for n in range(many)]
    )
    with pytest.raises(StoreUnavailable):
        await accord(store)
    store.fails = False
    await asyncio.gather(accord(store), accord(store))  # two instances
    assert store.pages[:4] == ["", "00499", "00999", "00999"], "pages that are done are not read again"
    assert all((await dates(store)).values())
    stored = (await load(store, "orders", KIND)).state
    assert stored is not None and stored["done_at"] and (stored["examined"], stored["dated"]) == (many, many)


async def test_a_document_that_changed_since_its_read_is_not_dated() -> None:
    store = MemoryStore()
    await put(store, "a", state(OrderStatus.CANCELLED))
    [old] = await store.dated("orders", after="", limit=1)
    await put(store, "a", state(OrderStatus.CONFIRMED))
    assert await store.keep("orders", {"a": (old.version, NOW), "gone": (1, NOW)}) == 0
    assert await dates(store) == {"a": None}


async def test_a_running_service_applies_its_retention_rules(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Runtime, "retention_after_s", 0.0)
    store = MemoryStore()
    await put(store, "a", state(OrderStatus.CANCELLED))
    runtime = Runtime(
        SERVICE, MemoryBus(MemoryBroker(build([SERVICE])), "order_svc"), store, clock=lambda: NOW
    )
    await runtime.start()
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app.create_app(runtime, None))) as client:

        async def reported() -> Any:
            [kept] = (await client.get("http://order_svc/retention")).json()
            return kept if kept["done_at"] else None

        kept = await until(reported, within_s=WAIT_S_MAX)
    assert (kept["kind"], kept["kept_for_days"], kept["examined"], kept["dated"]) == ("orders", 60, 1, 1)
    assert store.expire(NOW + KEPT) == 1
    await runtime.kill()


@pytest.mark.real
@pytest.mark.parametrize("driver", ["motor", "pymongo"])
async def test_documents_of_the_old_shape_in_a_real_database_expire(
    real_infrastructure: Infrastructure, database_prefix: str, driver: Any
) -> None:
    """The first version stored no `changed_at`, no journey of handled messages,
    and no messages without effect.
    """
    name = f"{database_prefix}{driver}"
    entry = {
        "id": "1",
        "type": "order.cancel.v1",
        "at": LATELY,
        "from": "placed",
        "to": "cancelled",
        "says": [],
    }
    old = {"version": 3, "handled": ["1"], "said": [entry]}
    store = MongoStore(real_infrastructure.mongo_url, name, driver)
    async with AsyncMongoClient[dict[str, Any]](real_infrastructure.mongo_url, tz_aware=True) as client:
        orders = client[name].orders
        for key, status in (
            ("a", OrderStatus.CANCELLED),
            ("b", OrderStatus.CONFIRMED),
            ("c", OrderStatus.CANCELLED),
        ):
            await orders.insert_one({"_id": key, "state": state(status), **old})
        await orders.update_one({"_id": "c"}, {"$set": {"unpublished_since": LATELY}})
        await orders.update_one({"_id": "b"}, {"$set": {"kept_until": NOW}})
        await store.start(SERVICE.kinds)
        await accord(store)
        found: Mapping[str, Any] = {each["_id"]: each async for each in orders.find({})}
        assert {key: each.get("kept_until") for key, each in found.items()} == {
            "a": LATELY + KEPT,
            "b": None,
            "c": None,
        }
        assert {each["version"] for each in found.values()} == {3}
        assert await store.keep("orders", {"a": (2, NOW), "c": (3, NOW)}) == 0
    await store.stop()
