"""A house for each test."""

from collections.abc import AsyncIterator

import pytest

from chassis.memory import MemoryStore
from tests.user_svc.house import House


@pytest.fixture
async def house() -> AsyncIterator[House]:
    house = House(MemoryStore())
    await house.runtime.start()
    yield house
    await house.http.aclose()
    await house.runtime.stop()
