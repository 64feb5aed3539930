"""Fixtures for tests of what database and broker refuse."""

import asyncio
from collections.abc import AsyncIterator, Iterator

import pytest

from journey.admin.database.admin import DatabaseAdmin
from journey.admin.database.target import DatabaseTarget, derived_target
from journey.admin.registry import shop_database_users
from journey.devenv.infra.local_mongo import LocalMongo
from journey.devenv.infra.model import Infrastructure
from tests.support.infrastructure import fresh_database_prefix

SECRET = "of-this-test"


@pytest.fixture(scope="session")
def admin_url(real_infrastructure: Infrastructure, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of a database that requires a login, with an administrator's credentials.

    A database that the environment names may require none. Then one is started for these tests.
    """
    if asyncio.run(requires_login(real_infrastructure.mongo_url)):
        yield real_infrastructure.mongo_url
        return
    mongo = LocalMongo(tmp_path_factory.mktemp("database"))
    try:
        asyncio.run(mongo.start(log=lambda text: None))
        yield mongo.url
    finally:
        asyncio.run(mongo.kill())


async def requires_login(url: str) -> bool:
    async with DatabaseAdmin(url) as admin:
        return await admin.requires_login()


@pytest.fixture
async def database(admin_url: str) -> AsyncIterator[DatabaseTarget]:
    """The users of a shop whose databases have a prefix of their own; removed afterwards."""
    found = Infrastructure("environment", "", "", admin_url, "", "", "")
    async with fresh_database_prefix(found) as prefix:
        target = derived_target(admin_url, prefix, shop_database_users(prefix), secret=SECRET)
        await target.apply()
        yield target
