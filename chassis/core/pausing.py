"""Pauses the queues of a service for several reasons at once: a queue resumes when none of them is left."""

from collections.abc import Iterable
from typing import Protocol


class PausableQueue(Protocol):
    """A subscription."""

    async def pause(self) -> None: ...
    async def resume(self) -> None: ...


class PausedFor:
    """A queue, as one of the reasons to pause it sees it."""

    def __init__(self, queue: PausableQueue, reasons: set[str], reason: str) -> None:
        """`reasons`: those for which the queue is paused, shared by all objects for this queue."""
        self._queue = queue
        self._reasons = reasons
        self._reason = reason

    async def pause(self) -> None:
        self._reasons.add(self._reason)
        await self._queue.pause()

    async def resume(self) -> None:
        self._reasons.discard(self._reason)
        if not self._reasons:
            await self._queue.resume()


class QueueGroup:
    """Several queues that are paused together, such as the partitions of one."""

    def __init__(self, queues: Iterable[PausableQueue]) -> None:
        self._queues = tuple(queues)

    async def pause(self) -> None:
        for queue in self._queues:
            await queue.pause()

    async def resume(self) -> None:
        for queue in self._queues:
            await queue.resume()


class PauseSwitch:
    """Pauses all queues of a service on demand."""

    def __init__(self) -> None:
        self.is_on = False
        self._queues: list[PausedFor] = []

    async def add(self, queue: PausableQueue) -> PausableQueue:
        """The same queue for another reason to pause it, such as an open circuit."""
        reasons: set[str] = set()
        self._queues.append(PausedFor(queue, reasons, "switch"))
        if self.is_on:
            await self._queues[-1].pause()
        return PausedFor(queue, reasons, "circuit")

    async def turn(self, on: bool) -> None:
        self.is_on = on
        for queue in self._queues:
            await (queue.pause() if on else queue.resume())
