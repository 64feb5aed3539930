"""The circuit breaker: after repeated failures it opens,
and one call at a time probes the external service.
"""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from chassis.bus.retry_ladder import LADDER
from chassis.core.definition import CircuitOpen, EffectUnavailable
from chassis.core.effects import FAILURES_MAX, EffectBreaker
from chassis.core.retry import postpone
from chassis.messaging.envelope import WireMessage
from tests.eventually import until
from tests.simulation import virtual_time

QUEUE = "payment_svc.commands"
SAID = datetime(2026, 3, 1, tzinfo=UTC)


class World:
    """An external service: fails while `silent`, counts its calls,
    and responds only while `answers` is set.
    """

    def __init__(self) -> None:
        self.silent = True
        self.asked = 0
        self.answers = asyncio.Event()
        self.answers.set()

    async def perform(self, question: Any, first_asked: datetime) -> str:
        self.asked += 1
        await self.answers.wait()
        if self.silent:
            raise EffectUnavailable("no answer")
        return f"{question} of {first_asked:%d}"


def play(story: Callable[[EffectBreaker], Awaitable[None]]) -> None:
    """Run in virtual time: a pause ends when nothing else is left to do,
    and not because the machine was busy.
    """

    async def told() -> None:
        breaker = EffectBreaker()
        await story(breaker)
        await breaker.stop()

    virtual_time.play(told())


async def ask(breaker: EffectBreaker, world: World, times: int) -> list[Any]:
    questions = (breaker.call(world.perform, "question", SAID) for _ in range(times))
    return await asyncio.gather(*questions, return_exceptions=True)


def test_after_some_silence_nobody_is_asked_any_more() -> None:
    async def story(breaker: EffectBreaker) -> None:
        world = World()
        await ask(breaker, world, FAILURES_MAX)
        assert breaker.open
        assert [type(answer) for answer in await ask(breaker, world, 3)] == [CircuitOpen] * 3
        assert world.asked == FAILURES_MAX

    play(story)


def test_after_the_pause_one_question_alone_is_the_probe() -> None:
    async def story(breaker: EffectBreaker) -> None:
        world = World()
        await ask(breaker, world, FAILURES_MAX)
        await until(lambda: not breaker.open)
        world.answers.clear()
        probe = asyncio.create_task(ask(breaker, world, 1))
        await until(lambda: world.asked == FAILURES_MAX + 1)
        assert [type(answer) for answer in await ask(breaker, world, 20)] == [CircuitOpen] * 20
        world.answers.set()
        assert [type(answer) for answer in await probe] == [EffectUnavailable]
        assert breaker.open
        assert world.asked == FAILURES_MAX + 1

    play(story)


def test_an_answered_probe_closes_the_circuit_for_all() -> None:
    async def story(breaker: EffectBreaker) -> None:
        world = World()
        await ask(breaker, world, FAILURES_MAX)
        await until(lambda: not breaker.open)
        world.silent = False
        assert await ask(breaker, world, 1) == ["question of 01"]
        assert await ask(breaker, world, 50) == ["question of 01"] * 50

    play(story)


def test_a_response_closes_the_circuit_for_five_failures_and_the_shortest_pause() -> None:
    async def story(breaker: EffectBreaker) -> None:
        world, pauses = World(), list[float]()
        loop = asyncio.get_running_loop()
        for times in (FAILURES_MAX, 1, 1):
            await ask(breaker, world, times)
            began = loop.time()
            await until(lambda: not breaker.open)
            pauses.append(loop.time() - began)
        assert pauses[0] < pauses[1] < pauses[2]
        world.silent = False
        await ask(breaker, world, 1)
        world.silent = True
        await ask(breaker, world, FAILURES_MAX - 1)
        assert not breaker.open
        await ask(breaker, world, 1)
        began = loop.time()
        await until(lambda: not breaker.open)
        assert loop.time() - began < pauses[1]

    play(story)


def test_a_bug_in_the_probe_leaves_the_next_question_to_be_the_probe() -> None:
    async def story(breaker: EffectBreaker) -> None:
        async def broken(question: Any, first_asked: datetime) -> str:
            raise ValueError("a bug")

        world = World()
        await ask(breaker, world, FAILURES_MAX)
        await until(lambda: not breaker.open)
        with pytest.raises(ValueError, match="a bug"):
            await breaker.call(broken, "question", SAID)
        world.silent = False
        assert await ask(breaker, world, 1) == ["question of 01"]

    play(story)


def test_who_was_not_even_asked_waits_briefly_however_often() -> None:
    wire_message = WireMessage("commands", "x", b"{}", "1", "x", None, None)
    for _ in range(3):
        wire_message = postpone(wire_message, queue=QUEUE, service="payment_svc", tried=False)
        assert wire_message.exchange == LADDER[0]
    assert postpone(wire_message, queue=QUEUE, service="payment_svc").exchange == LADDER[1]
