"""Faults that only a real database has."""

import asyncio
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from pymongo import AsyncMongoClient
from pymongo.hello import Hello

from chassis.store.mongodb import MongoStore
from chassis.store.mongodb_client import Driver
from chassis.store.mongodb_indexes import JOURNEYS
from chassis.store.protocol import HANDLED_MAX, Change, Loaded, StoreRefused, StoreUnavailable
from journey.devenv.infra.model import Infrastructure
from journey.devenv.infra.mongod import find_or_download
from journey.devenv.infra.ports import free_ports
from tests.conformance.store.test_store import NOW, handled, load, put
from tests.support.databases import KINDS, MongoDatabase, read_documents
from tests.support.eventually import until

pytestmark = pytest.mark.real


@pytest.fixture(params=["motor", "pymongo"])
def mongo(request: pytest.FixtureRequest) -> MongoDatabase:
    made: MongoDatabase = request.getfixturevalue(request.param)
    return made


@pytest.fixture
async def mongod() -> Path:
    return await find_or_download(lambda text: None)


async def test_a_too_large_document_is_refused_alone(mongo: MongoDatabase) -> None:
    store = await mongo.store()
    await put(store, "grows", {"text": "x" * 9_000_000})
    grown = Change(await load(store, "grows"), {"status": "", "text": "x" * 17_000_000})
    new = Change(Loaded("orders", "new"), {"text": "x" * 17_000_000}, handled=[handled()])
    for change in (grown, new):
        with pytest.raises(StoreRefused):
            await store.save([change])
        with pytest.raises(StoreRefused):
            await store.save([change, Change(Loaded("shelves", "s"), {})], together=True)
    assert (await load(store, "grows")).version == 1
    assert await load(store, "s", "shelves") == Loaded("shelves", "s")
    assert await store.save([Change(Loaded("orders", "small"), {})])


async def test_a_connection_without_sessions_is_replaced(
    mongo: MongoDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A member that resumes after a freeze is for a moment neither primary nor secondary. pymongo then keeps
    a connection on which each transaction fails.
    """
    await mongo.store()  # creates the indexes
    store = await mongo.store(started=False)
    changes = [Change(Loaded("orders", "one"), {"status": "placed"}), Change(Loaded("shelves", "two"), {})]
    with monkeypatch.context() as opening:
        opening.setattr(Hello, "is_readable", False)
        with pytest.raises(StoreUnavailable, match="cannot carry transactions"):
            await store.save(changes, together=True)
    assert await store.save(changes, together=True)
    assert (await load(store, "one")).version == 1


async def test_open_or_new_aggregates_are_found_without_reading_history(mongo: MongoDatabase) -> None:
    store = await mongo.store()
    history = [
        Change(Loaded("orders", f"{number:05}"), {"status": "confirmed"}, changed_at=NOW - timedelta(days=1))
        for number in range(1_000)
    ]
    assert await store.save(history)
    for number in range(0, 1_000, 100):
        await put(store, f"{number:05}", {"status": "placed"}, changed_at=NOW)
    for key in ("00300:mail", "00300:x"):
        await put(store, key, {"status": "sent"}, changed_at=NOW - timedelta(days=1))
    database = store._mongo.client.get_database(mongo.name)
    found = []
    async with read_documents(database) as examined:
        found.append(
            await store.find("orders", {"status": frozenset({"placed", "held"})}, after="00200", limit=5)
        )
        found.append(await store.changed("orders", NOW, after="00200", limit=5))
        found.append(await store.about("orders", ["00300", "00400"]))
    assert [len(page) for page in found] == [5, 5, 4]
    assert examined() <= sum(len(page) for page in found) + 2


async def test_transactions_share_a_session_until_one_fails(
    mongo: MongoDatabase,
) -> None:
    store = await mongo.store()
    pair = [Change(Loaded("orders", "o"), {}), Change(Loaded("shelves", "s"), {})]
    assert await store.save(pair, together=True)
    [session] = store._mongo._sessions
    assert not await store.save(pair, together=True), "they exist by now"
    assert store._mongo._sessions == []
    for number in range(3):
        both = [Change(Loaded("orders", f"o{number}"), {}), Change(Loaded("shelves", f"s{number}"), {})]
        assert await store.save(both, together=True)
    [next_session] = store._mongo._sessions
    assert next_session is not session
    assert (await load(store, "o")).version == (await load(store, "s", "shelves")).version == 1


async def test_an_abandoned_transaction_expires(
    mongo: MongoDatabase, real_infrastructure: Infrastructure
) -> None:
    """A killed service does not abort its transaction.

    In a database that we start, it expires after ten seconds.
    """
    store = await mongo.store()
    assert await store.save([Change(Loaded("shelves", "s"), {"pieces": 1})])
    taken = Change(await load(store, "s", "shelves"), {"pieces": 0})
    held = Change(Loaded("orders", "o"), {"status": "held"}, handled=[handled()])
    async with (
        AsyncMongoClient[dict[str, Any]](real_infrastructure.mongo_url) as dead,
        dead.start_session() as session,
    ):
        await session.start_transaction()
        await dead[mongo.name].shelves.update_one(
            {"_id": "s"}, {"$set": {"state.pieces": 0}}, session=session
        )
        assert not await store.save([held, taken], together=True)
        limit = await dead.admin.command({"getParameter": 1, "transactionLifetimeLimitSeconds": 1})
        assert limit["transactionLifetimeLimitSeconds"] == 10 or real_infrastructure.kind == "environment"
        await until(lambda: store.save([held, taken], together=True), within_s=180)
    assert (await load(store, "s", "shelves")).state == {"pieces": 0}


async def test_a_document_too_large_by_its_history_is_refused(mongo: MongoDatabase) -> None:
    """Here the server reports it, not the driver."""
    store = await mongo.store()
    await put(store, "a", {"text": "x" * 9_000_000})
    long = [handled("y" * 8_000_000)]
    with pytest.raises(StoreRefused):
        await store.save([Change(await load(store, "a"), {"text": "x" * 9_000_000}, handled=long)])


async def test_the_queries_of_background_loops_use_an_index(
    mongo: MongoDatabase, real_infrastructure: Infrastructure
) -> None:
    store = await mongo.store()
    await put(store, "a", deadline_at=NOW, unpublished=True, handled=[handled()])
    queries: list[dict[str, Any]] = [
        {"filter": {"deadline_at": {"$lte": NOW}}, "sort": {"deadline_at": 1}},
        {"filter": {"unpublished_since": {"$lte": NOW}}, "sort": {"unpublished_since": 1}},
        {"filter": {"$or": [{path: "j"} for path in ("_id", *JOURNEYS)]}},
        {"filter": {"state.status": {"$eq": "new"}, "_id": {"$gt": ""}}, "sort": {"_id": 1}},
    ]
    async with AsyncMongoClient[dict[str, Any]](real_infrastructure.mongo_url) as client:
        for effect in queries:
            plan = await client[mongo.name].command({"explain": {"find": "orders", **effect}})
            assert "IXSCAN" in str(plan["queryPlanner"]["winningPlan"]), effect
            assert "COLLSCAN" not in str(plan["queryPlanner"]["winningPlan"]), effect
            assert "'SORT'" not in str(plan["queryPlanner"]["winningPlan"]), effect


async def test_starting_twice_changes_nothing(mongo: MongoDatabase) -> None:
    store = await mongo.store()
    await put(store, "a")
    await store.start(KINDS)
    assert (await load(store, "a")).version == 1


@pytest.mark.parametrize("driver", ["motor", "pymongo"])
async def test_a_wrong_password_is_refused_and_not_waited_for(
    real_infrastructure: Infrastructure, driver: Driver
) -> None:
    host = real_infrastructure.mongo_url.removeprefix("mongodb://").rpartition("@")[2]
    store = MongoStore(f"mongodb://nobody:wrong@{host}", "never", driver)
    with pytest.raises(StoreRefused):
        await store.start(KINDS)
    await store.stop()


async def test_a_standalone_server_is_refused_with_the_remedy(tmp_path: Path, mongod: Path) -> None:
    [port] = free_ports(1)
    where = f"--dbpath {tmp_path} --logpath {tmp_path}/log --bind_ip 127.0.0.1 --port {port}".split()
    process = await asyncio.create_subprocess_exec(mongod, *where, stdout=asyncio.subprocess.DEVNULL)
    store = MongoStore(f"mongodb://127.0.0.1:{port}", "never")
    try:
        async with asyncio.timeout(60):
            while True:
                try:
                    with pytest.raises(StoreRefused, match="--replSet rs0"):
                        await store.start(KINDS)
                    break
                except StoreUnavailable:  # it is still starting
                    continue
    finally:
        await store.stop()
        process.terminate()
        await process.wait()


async def test_different_indexes_of_an_earlier_version_are_rebuilt(
    mongo: MongoDatabase, real_infrastructure: Infrastructure
) -> None:
    async with AsyncMongoClient[dict[str, Any]](real_infrastructure.mongo_url) as client:
        collection = client[mongo.name]["orders"]
        await collection.create_index("journey", partialFilterExpression={"journey": {"$gt": ""}})
        await put(await mongo.store(), "one")
        assert (await collection.index_information())["journey_1"].get("sparse") is True


async def test_expiring_documents_are_deleted_by_the_server(
    mongo: MongoDatabase, real_infrastructure: Infrastructure
) -> None:
    """The server deletes once a minute, so the test checks the field that the index uses."""
    store = await mongo.store()
    await put(store, "basket", kept_until=NOW)
    await put(store, "basket", kept_until=NOW + timedelta(days=1))
    await put(store, "order")
    await put(store, "ended, then not", kept_until=NOW)
    await put(store, "ended, then not")
    await put(store, "unpublished", handled=[handled()], unpublished=True)
    await store.published("orders", "unpublished", 1, NOW)
    async with AsyncMongoClient[dict[str, Any]](real_infrastructure.mongo_url, tz_aware=True) as client:
        collection = client[mongo.name]["orders"]
        index = (await collection.index_information())["kept_until_1"]
        assert (index["expireAfterSeconds"], index["sparse"]) == (0, True)
        kept = {doc["_id"]: doc.get("kept_until") async for doc in collection.find()}
        assert kept.pop("basket") == NOW + timedelta(days=1)
        assert kept == {"order": None, "ended, then not": None, "unpublished": NOW}


async def test_journeys_stored_by_an_earlier_version_are_found(
    mongo: MongoDatabase, real_infrastructure: Infrastructure
) -> None:
    """It stored one journey for the whole document, or none if its id is the document's key."""
    store = await mongo.store()
    entry = {"id": "1", "type": "order.place.v1", "at": NOW, "from": "new", "to": "placed", "says": []}
    old = {"version": 1, "state": {}, "handled": ["1"], "said": [entry]}
    async with AsyncMongoClient[dict[str, Any]](real_infrastructure.mongo_url) as client:
        await client[mongo.name].orders.insert_many(
            [{"_id": "a", "journey": "j", **old}, {"_id": "b", **old}]
        )
    for journey, key in (("j", "a"), ("b", "b")):
        [(loaded, [found])] = await store.journey("orders", journey)
        assert (loaded.key, found.message_id, found.journey) == (key, "1", journey)
    newer = replace(handled("2"), journey="k", changed=False)
    await put(store, "a", handled=[newer])
    assert [[each.message_id for each in h] for _, h in await store.journey("orders", "j")] == [["1"]]
    assert [[each.message_id for each in h] for _, h in await store.journey("orders", "k")] == [["2"]]
    assert (await load(store, "a")).handled == {"1", "2"}


async def test_an_oversized_document_is_pruned_by_the_next_write(
    mongo: MongoDatabase,
) -> None:
    store = await mongo.store()
    await put(store, "a", handled=[handled(f"{each:05}") for each in range(3_000)], handled_max=10_000)
    assert len((await load(store, "a")).handled) == 3_000
    await put(store, "a", handled=[replace(handled("newest"), changed=False)])
    assert len((await load(store, "a")).handled) == HANDLED_MAX + 1
