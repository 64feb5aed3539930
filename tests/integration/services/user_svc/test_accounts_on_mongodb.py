"""Accounts on a real MongoDB, from registration to erasure, including the raw documents."""

import asyncio
from collections import Counter
from typing import Any

import pytest
from pymongo import AsyncMongoClient

from chassis.clock import utc_now
from chassis.store.mongodb import MongoStore
from tests.support.shops.user import HOME, PERSONAL, UserApp
from user_svc.auth.login_attempts import FREE_ATTEMPTS

pytestmark = [pytest.mark.real, pytest.mark.every_service]

Documents = AsyncMongoClient[dict[str, Any]]


async def whole_database(client: Documents, name: str) -> str:
    database = client[name]
    return repr(
        [await database[kind].find().to_list(None) for kind in await database.list_collection_names()]
    )


async def test_an_account_lives_and_leaves_nothing_personal_in_mongodb(
    real_infrastructure: Any, database_prefix: str
) -> None:
    name = f"{database_prefix}user_svc"
    client: Documents = AsyncMongoClient(real_infrastructure.mongo_url)
    user_app = UserApp(MongoStore(real_infrastructure.mongo_url, name), now=utc_now())
    await user_app.runtime.start()
    try:
        await asyncio.gather(
            *(user_app.register(password=f"the choice of {n}", of=f"10.0.{n}.1") for n in range(5))
        )
        reported = Counter(user_app.published_types())
        assert reported["user.registered.v1"] == reported["user.erased.v1"] + 1
        guests = [await user_app.log_in(password=f"the choice of {number}") for number in range(5)]
        assert sorted(response.status_code for response in guests) == [401, 401, 401, 401, 403]

        bob = await user_app.logged_in_user("bob@example.org", name="Robert")
        await bob("POST", "/users/me/addresses", HOME)
        assert (await bob.me())["addresses"] == [HOME]
        assert (await bob("PUT", "/users/me", {"name": {"$ne": 1}})).status_code == 422
        kept = await whole_database(client, name)
        assert "Robert" in kept
        assert not any(token in kept for token in (bob.token, bob.refresh_token))
        assert (await user_app.refresh(bob.refresh_token)).status_code == 201

        assert (await bob.erase()).status_code == 204
        assert (await bob("GET", "/users/me")).status_code == 401
        kept = await whole_database(client, name)
        assert str(bob.user_id) in kept
        assert not any(secret in kept for secret in ("bob@", "Robert", *PERSONAL))
        assert (await user_app.logged_in_user("bob@example.org")).user_id != bob.user_id
    finally:
        await user_app.http.aclose()
        await user_app.runtime.stop()
        await client.close()


async def test_instances_on_mongodb_count_concurrent_attempts_exactly(
    real_infrastructure: Any, database_prefix: str
) -> None:
    """Each instance has a client of its own; both write the document of one network."""
    name = f"{database_prefix}user_svc"
    apps = [UserApp(MongoStore(real_infrastructure.mongo_url, name), now=utc_now()) for _ in range(2)]
    for user_app in apps:
        await user_app.runtime.start()
    try:
        await apps[0].logged_in_user()
        guesses = (apps[number % 2].log_in(password="a wrong guess") for number in range(60))
        responses = await asyncio.gather(*guesses)
        assert Counter(response.status_code for response in responses) == {
            401: FREE_ATTEMPTS,
            429: 60 - FREE_ATTEMPTS,
        }
    finally:
        for user_app in apps:
            await user_app.http.aclose()
            await user_app.runtime.stop()
