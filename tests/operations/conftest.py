"""A desk for each test."""

from collections.abc import AsyncIterator

import pytest

from tests.operations.desks import DeskInMemory, at_work


@pytest.fixture
async def desk() -> AsyncIterator[DeskInMemory]:
    async with at_work() as made:
        yield made
