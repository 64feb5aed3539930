"""The operations application for each test."""

from collections.abc import AsyncIterator

import pytest

from tests.support.shops.operations import OperationsApp, at_work


@pytest.fixture
async def operations_app() -> AsyncIterator[OperationsApp]:
    async with at_work() as made:
        yield made
