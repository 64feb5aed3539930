"""The dead letters that a search for stuck orders reads first, and those that it reads later."""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing

from chassis.messaging.envelope import OPERATOR
from journey.admin.dead_letters import reader
from journey.admin.dead_letters.dead_letter import DeadLetter
from journey.admin.diagnosis import snapshot
from journey.admin.endpoints import ShopEndpoints
from journey.admin.infrastructure_unavailable import InfrastructureUnavailable

_FIRST_LETTERS = 50  # per queue
_FIRST_LETTERS_S_MAX = 1.0

Letters = AsyncGenerator[DeadLetter, None]


class StuckDeadLetters:
    """The dead letters of a shop. The search starts without them if the broker is slow."""

    def __init__(self, endpoints: ShopEndpoints) -> None:
        self._place = endpoints
        self._oldest = asyncio.create_task(snapshot.oldest_letters(endpoints, _FIRST_LETTERS))
        self._given = False
        self.silent = False

    async def first(self) -> Sequence[DeadLetter]:
        await asyncio.wait([self._oldest], timeout=_FIRST_LETTERS_S_MAX)
        self._given = self._oldest.done()
        found = self._oldest.result() if self._given else None
        return found.letters if found else ()

    async def others(self) -> Letters:
        """All except the first ones; of a queue with more letters, the first ones are repeated."""
        found = await self._oldest
        self.silent = found is None
        if found is None:
            return
        for letter in () if self._given else found.letters:
            yield letter
        try:
            async with aclosing(reader.each(self._place.amqp_url(OPERATOR), found.unread)) as letters:
                async for letter in letters:
                    yield letter
        except InfrastructureUnavailable:
            self.silent = True

    async def close(self) -> None:
        self._oldest.cancel()
        await asyncio.gather(self._oldest, return_exceptions=True)
