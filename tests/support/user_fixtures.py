"""A running user_svc for each test."""

from collections.abc import AsyncIterator

import pytest

from chassis.bus.memory import MemoryStore
from tests.support.shops.user import UserApp


@pytest.fixture
async def user_app() -> AsyncIterator[UserApp]:
    user_app = UserApp(MemoryStore())
    await user_app.runtime.start()
    yield user_app
    await user_app.http.aclose()
    await user_app.runtime.stop()
