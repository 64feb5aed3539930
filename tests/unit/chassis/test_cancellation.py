"""Background tasks end, also if one of them loses a cancellation."""

import asyncio
from contextlib import suppress

from chassis.cancellation import cancel

AGAIN_S = 0.01


async def test_a_lost_cancellation_is_repeated() -> None:
    async def loses_one() -> None:
        with suppress(asyncio.CancelledError):
            await asyncio.Event().wait()
        await asyncio.Event().wait()

    task = asyncio.create_task(loses_one())
    await asyncio.sleep(0)
    async with asyncio.timeout(60):
        await cancel([task], AGAIN_S)
    assert task.cancelled()


async def test_what_a_task_raises_stops_no_other() -> None:
    async def fails() -> None:
        raise ValueError("on its way")

    failed, waits = asyncio.create_task(fails()), asyncio.create_task(asyncio.Event().wait())
    await asyncio.sleep(0)
    await cancel([failed, waits], AGAIN_S)
    assert failed.done() and waits.cancelled()


async def test_without_tasks_nothing_is_waited_for() -> None:
    await cancel([])
