"""Accounts on a real MongoDB, from registration to erasure, with a look into the raw documents."""

import asyncio
from typing import Any

import pytest
from pymongo import AsyncMongoClient

from chassis.mongo import MongoStore
from tests.user_svc.house import HOME, PERSONAL, House

pytestmark = pytest.mark.real

Documents = AsyncMongoClient[dict[str, Any]]


async def whole_database(client: Documents, name: str) -> str:
    database = client[name]
    return repr([await database[kind].find().to_list(None) for kind in await database.list_collection_names()])


async def test_an_account_lives_and_leaves_nothing_personal_in_mongodb(
    real_infrastructure: Any, database_prefix: str
) -> None:
    name = f"{database_prefix}user_svc"
    client: Documents = AsyncMongoClient(real_infrastructure.mongo_url)
    house = House(MongoStore(real_infrastructure.mongo_url, name))
    await house.runtime.start()
    try:
        await asyncio.gather(*(house.register(password=f"password {number}") for number in range(5)))
        assert len(house.said()) == 1
        guests = [await house.log_in(password=f"password {number}") for number in range(5)]
        assert sorted(answer.status_code for answer in guests) == [201, 401, 401, 401, 401]

        bob = await house.moved_in("bob@example.org", name="Robert")
        await bob("POST", "/users/me/addresses", HOME)
        assert (await bob.me())["addresses"] == [HOME]
        assert (await bob("PUT", "/users/me", {"name": {"$ne": 1}})).status_code == 422
        kept = await whole_database(client, name)
        assert "Robert" in kept
        assert bob.token not in kept

        assert (await bob("DELETE", "/users/me")).status_code == 204
        assert (await bob("GET", "/users/me")).status_code == 401
        kept = await whole_database(client, name)
        assert str(bob.user_id) in kept
        assert not any(word in kept for word in ("bob@", "Robert", *PERSONAL))
        assert (await house.moved_in("bob@example.org")).user_id != bob.user_id
    finally:
        await house.http.aclose()
        await house.runtime.stop()
        await client.close()
