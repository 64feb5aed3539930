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

_FIRST_DEAD_LETTERS = 50  # per queue
_FIRST_DEAD_LETTERS_S_MAX = 1.0

DeadLetterStream = AsyncGenerator[DeadLetter, None]


class StuckDeadLetters:
    """The dead letters of a shop. The search starts without them if the broker is slow."""

    def __init__(self, endpoints: ShopEndpoints) -> None:
        self._endpoints = endpoints
        self._oldest = asyncio.create_task(snapshot.oldest_dead_letters(endpoints, _FIRST_DEAD_LETTERS))
        self._given = False
        self.silent = False

    async def first(self) -> Sequence[DeadLetter]:
        await asyncio.wait([self._oldest], timeout=_FIRST_DEAD_LETTERS_S_MAX)
        self._given = self._oldest.done()
        found = self._oldest.result() if self._given else None
        return found.dead_letters if found else ()

    async def others(self) -> DeadLetterStream:
        """All except the first ones; of a queue with more dead letters, the first ones are repeated."""
        found = await self._oldest
        self.silent = found is None
        if found is None:
            return
        for dead_letter in () if self._given else found.dead_letters:
            yield dead_letter
        try:
            async with aclosing(
                reader.each(self._endpoints.amqp_url(OPERATOR), found.unread)
            ) as dead_letters:
                async for dead_letter in dead_letters:
                    yield dead_letter
        except InfrastructureUnavailable:
            self.silent = True

    async def close(self) -> None:
        self._oldest.cancel()
        await asyncio.gather(self._oldest, return_exceptions=True)
