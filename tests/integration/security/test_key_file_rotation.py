"""The key with which MongoDB's members authenticate to each other is replaced while a store writes."""

import asyncio
import json
import secrets
from collections.abc import AsyncIterator, Callable
from functools import partial
from pathlib import Path

import pytest
from pymongo import AsyncMongoClient
from pymongo.errors import PyMongoError

from chassis.store.mongodb import MongoStore
from chassis.store.protocol import Change, Loaded, StoreUnavailable
from journey.admin.private_files import write_private
from journey.devenv.infra.local_mongo import LocalMongo
from tests.support.eventually import until

pytestmark = [pytest.mark.real, pytest.mark.timeout(900)]

MEMBERS = 3
PRIMARY, SECONDARY = 1, 2  # the states of members in replSetGetStatus
WAIT_S = 240.0
STOP_S = 60.0


def quiet(_text: str) -> None:
    pass


@pytest.fixture
async def mongo(tmp_path: Path) -> AsyncIterator[LocalMongo]:
    started = LocalMongo(tmp_path, nodes=MEMBERS)
    try:
        await started.start(quiet)
        yield started
    finally:
        for node in range(1, MEMBERS + 1):
            await started.kill(node)


async def test_the_members_key_is_replaced_under_writes(mongo: LocalMongo) -> None:
    """As docs/security.md describes it: two rounds, in which the members restart one after another."""
    await until(lambda: all_are_members(mongo), within_s=WAIT_S)
    old, new = key_of(mongo), secrets.token_hex(32)
    store = MongoStore(mongo.url, "rotation")
    await store.start({"orders": ()})
    written: list[str] = []
    enough = asyncio.Event()
    try:
        async with asyncio.TaskGroup() as writing:
            writing.create_task(write(store, written, until=enough.is_set))
            for keys in (f"- {old}\n- {new}\n", f"- {new}\n"):
                set_key(mongo, keys)
                await restart_all(mongo)
                reached = len(written)
                await until(partial(has_more, written, reached + 10), within_s=WAIT_S)
            enough.set()
        stored = await store.load("orders", written)
        assert {key for key, loaded in stored.items() if loaded.state is None} == set()
    finally:
        await store.stop()
    await the_old_key_is_refused(mongo, old)


def has_more(written: list[str], count: int) -> bool:
    return len(written) > count


async def write(store: MongoStore, written: list[str], until: Callable[[], bool]) -> None:
    """One document after another; each is repeated until it is known to be stored."""
    while not until():
        key = f"order-{len(written)}"
        try:
            await store.save([Change(Loaded("orders", key), {"status": "placed"})])
        except StoreUnavailable:
            await asyncio.sleep(0.1)
        else:  # or it was there already, from an attempt without a response
            written.append(key)
            await asyncio.sleep(0.01)


def settings_of(mongo: LocalMongo) -> Path:
    return mongo.dir / "settings.json"


def key_of(mongo: LocalMongo) -> str:
    return str(json.loads(settings_of(mongo).read_text())["key"])


def set_key(mongo: LocalMongo, text: str) -> None:
    """The content of the key file at the next start of a member."""
    kept = json.loads(settings_of(mongo).read_text())
    write_private(settings_of(mongo), json.dumps(kept | {"key": text}))


async def restart_all(mongo: LocalMongo) -> None:
    """The primary last; before each, all are members."""
    primary = await until(mongo.primary, within_s=WAIT_S)
    for node in sorted(range(1, MEMBERS + 1), key=lambda node: node == primary):
        await restart(mongo, node)
        await until(lambda: all_are_members(mongo), within_s=WAIT_S)


async def restart(mongo: LocalMongo, node: int) -> None:
    assert await mongo.processes.stop(f"mongo{node}", grace_s=STOP_S)
    await mongo.start(quiet)


async def all_are_members(mongo: LocalMongo) -> bool:
    """Whether every member is primary or secondary, as the primary sees it."""
    try:
        async with AsyncMongoClient[dict[str, object]](mongo.url, serverSelectionTimeoutMS=2_000) as client:
            status = await client.admin.command("replSetGetStatus")
    except PyMongoError:
        return False
    return [each["state"] in (PRIMARY, SECONDARY) for each in status["members"]] == [True] * MEMBERS


async def the_old_key_is_refused(mongo: LocalMongo, old: str) -> None:
    primary = await until(mongo.primary, within_s=WAIT_S)
    node = next(node for node in range(1, MEMBERS + 1) if node != primary)
    log = mongo.dir / f"mongod{node}.log"
    begun = len(log.read_text())
    set_key(mongo, old)
    await restart(mongo, node)
    await until(lambda: "AuthenticationFailed" in log.read_text()[begun:], within_s=WAIT_S)
    await until(lambda: all_are_members(mongo), lambda all_: not all_, within_s=WAIT_S)
