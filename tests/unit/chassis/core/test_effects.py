"""The circuit breaker: after repeated failures it opens,
and one call at a time probes the external service.
"""

import asyncio
import math
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from chassis.bus.retry_ladder import RetryLadder
from chassis.circuit_breaker import FAILURES_MAX, CircuitBreaker, CircuitState
from chassis.core.definition import CircuitOpen, EffectHandler, EffectUnavailable
from chassis.core.effects import EffectRunner
from chassis.core.retry import postpone
from chassis.messaging.envelope import WireMessage
from contracts import payments
from payment_svc.service import payment_service
from tests.simulation import virtual_time
from tests.support.eventually import until
from tests.support.pending_message_factory import pending

LADDER = RetryLadder().names

QUEUE = "payment_svc.commands"
SERVICE = payment_service()
EMITTED = datetime(2026, 3, 1, tzinfo=UTC)


class World:
    """An external service: fails while `silent`, counts its calls,
    and responds only while `answers` is set.
    """

    def __init__(self) -> None:
        self.silent = True
        self.asked = 0
        self.responses = asyncio.Event()
        self.responses.set()

    async def perform(self, effect: Any, first_asked: datetime) -> str:
        self.asked += 1
        await self.responses.wait()
        if self.silent:
            raise EffectUnavailable("no answer")
        return f"{effect} of {first_asked:%d}"


class Queue:
    """Counts how often it was paused and resumed."""

    def __init__(self) -> None:
        self.calls: list[str] = []

    async def pause(self) -> None:
        self.calls.append("pause")

    async def resume(self) -> None:
        self.calls.append("resume")


class Outside:
    """An effect runner, with its breaker and its queue, and the world in which it runs effects."""

    def __init__(self) -> None:
        self.world, self.queue = World(), Queue()
        self.breaker = CircuitBreaker(probe_s=math.inf)
        self.effects = EffectRunner(SERVICE, self.perform, self.breaker)
        self.effects.commands = self.queue
        self.perform_effect: EffectHandler[Any, Any] = self.world.perform

    async def perform(self, effect: Any, first_asked: datetime) -> Any:
        return await self.perform_effect(effect, first_asked)

    @property
    def is_open(self) -> bool:
        return self.breaker.state is CircuitState.OPEN

    async def ask(self, times: int) -> list[Any]:
        message = pending(SERVICE, payments.Authorize(order_id=UUID(int=7)), sent_at=EMITTED)
        effects = (self.effects.run(message, "question") for _ in range(times))
        return await asyncio.gather(*effects, return_exceptions=True)


def play(story: Callable[[Outside], Awaitable[None]]) -> None:
    """Run in virtual time: a pause ends when nothing else is left to do,
    and not because the machine was busy.
    """

    async def reported() -> None:
        outside = Outside()
        await story(outside)
        await outside.effects.stop()

    virtual_time.play(reported())


def test_after_several_timeouts_no_request_is_made() -> None:
    async def story(outside: Outside) -> None:
        world = outside.world
        await outside.ask(FAILURES_MAX)
        assert outside.is_open
        assert [type(response) for response in await outside.ask(3)] == [CircuitOpen] * 3
        assert world.asked == FAILURES_MAX

    play(story)


def test_after_the_pause_a_single_request_probes() -> None:
    async def story(outside: Outside) -> None:
        world = outside.world
        await outside.ask(FAILURES_MAX)
        await until(lambda: not outside.is_open)
        world.responses.clear()
        probe = asyncio.create_task(outside.ask(1))
        await until(lambda: world.asked == FAILURES_MAX + 1)
        assert [type(response) for response in await outside.ask(20)] == [CircuitOpen] * 20
        world.responses.set()
        assert [type(response) for response in await probe] == [EffectUnavailable]
        assert outside.is_open
        assert world.asked == FAILURES_MAX + 1

    play(story)


def test_a_successful_probe_closes_the_circuit() -> None:
    async def story(outside: Outside) -> None:
        world = outside.world
        await outside.ask(FAILURES_MAX)
        await until(lambda: not outside.is_open)
        world.silent = False
        assert await outside.ask(1) == ["question of 01"]
        assert await outside.ask(50) == ["question of 01"] * 50

    play(story)


def test_a_response_closes_the_circuit_and_resets_its_pause() -> None:
    async def story(outside: Outside) -> None:
        world, pauses = outside.world, list[float]()
        loop = asyncio.get_running_loop()
        for times in (FAILURES_MAX, 1, 1):
            await outside.ask(times)
            began = loop.time()
            await until(lambda: not outside.is_open)
            pauses.append(loop.time() - began)
        assert pauses[0] < pauses[1] < pauses[2]
        world.silent = False
        await outside.ask(1)
        world.silent = True
        await outside.ask(FAILURES_MAX - 1)
        assert not outside.is_open
        await outside.ask(1)
        began = loop.time()
        await until(lambda: not outside.is_open)
        assert loop.time() - began < pauses[1]

    play(story)


def test_after_a_bug_in_the_probe_the_next_request_probes() -> None:
    async def story(outside: Outside) -> None:
        async def broken(effect: Any, first_asked: datetime) -> str:
            raise ValueError("a bug")

        await outside.ask(FAILURES_MAX)
        await until(lambda: not outside.is_open)
        outside.perform_effect = broken
        assert [str(error) for error in await outside.ask(1)] == ["a bug"]
        outside.perform_effect = outside.world.perform
        outside.world.silent = False
        assert await outside.ask(1) == ["question of 01"]

    play(story)


def test_an_open_circuit_pauses_the_command_queue() -> None:
    async def story(outside: Outside) -> None:
        await outside.ask(FAILURES_MAX)
        await until(lambda: outside.queue.calls == ["pause"])
        assert outside.is_open
        await until(lambda: outside.queue.calls == ["pause", "resume"])
        assert not outside.is_open
        await outside.ask(1)
        await until(lambda: outside.queue.calls == ["pause", "resume", "pause"])
        assert outside.is_open

    play(story)


def test_a_stopped_runner_resumes_no_queue() -> None:
    async def story(outside: Outside) -> None:
        await outside.ask(FAILURES_MAX)
        await until(lambda: outside.queue.calls == ["pause"])
        await outside.effects.stop()
        await asyncio.sleep(60)
        assert outside.queue.calls == ["pause"]

    play(story)


def test_after_a_cancelled_probe_the_next_request_probes() -> None:
    async def story(outside: Outside) -> None:
        await outside.ask(FAILURES_MAX)
        await until(lambda: not outside.is_open)
        outside.world.responses.clear()
        probe = asyncio.create_task(outside.ask(1))
        await until(lambda: outside.world.asked == FAILURES_MAX + 1)
        probe.cancel()
        await asyncio.wait([probe])
        outside.world.responses.set()
        outside.world.silent = False
        assert await outside.ask(1) == ["question of 01"]

    play(story)


def test_requests_blocked_by_the_circuit_wait_briefly() -> None:
    wire_message = WireMessage("commands", "x", b"{}", "1", "x", None, None)
    for _ in range(3):
        wire_message = postpone(wire_message, queue=QUEUE, service=payment_service(), tried=False)
        assert wire_message.exchange == LADDER[0]
    assert postpone(wire_message, queue=QUEUE, service=payment_service()).exchange == LADDER[1]
