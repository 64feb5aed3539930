"""The circuit breaker: after repeated failures it opens,
and one call at a time probes the external service.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest

from chassis.bus.retry_ladder import RetryLadder
from chassis.circuit_breaker import FAILURES_MAX, CircuitLimits, CircuitState
from chassis.core.definition import CircuitOpen, EffectHandler, EffectLimits, EffectUnavailable
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

    def __init__(self, limits: EffectLimits = SERVICE.effects) -> None:
        self.world, self.queue = World(), Queue()
        self.effects = EffectRunner(replace(SERVICE, effects=limits), self.perform)
        self.effects.commands = self.queue
        self.perform_effect: EffectHandler[Any, Any] = self.world.perform

    async def perform(self, effect: Any, first_asked: datetime) -> Any:
        return await self.perform_effect(effect, first_asked)

    @property
    def is_open(self) -> bool:
        return self.effects.circuit is CircuitState.OPEN

    async def ask(self, times: int) -> list[Any]:
        messages = [
            pending(SERVICE, payments.Authorize(order_id=UUID(int=7)), sent_at=EMITTED) for _ in range(times)
        ]
        effects = (self.effects.run(message, "question") for message in messages)
        return await asyncio.gather(*effects, return_exceptions=True)


def play(story: Callable[[Outside], Awaitable[None]], limits: EffectLimits = SERVICE.effects) -> None:
    """Run in virtual time: a pause ends when nothing else is left to do,
    and not because the machine was busy.
    """

    async def reported() -> None:
        outside = Outside(limits)
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
        onward = postpone(wire_message, queue=QUEUE, service=payment_service(), tried=False)
        assert onward.exchange == LADDER[0]
        wire_message = replace(onward, exchange="", routing_key=QUEUE, user_id="payment_svc")
    assert postpone(wire_message, queue=QUEUE, service=payment_service()).exchange == LADDER[1]


def test_a_definition_has_the_numbers_of_the_circuit() -> None:
    async def story(outside: Outside) -> None:
        await outside.ask(2)
        assert outside.is_open
        began = asyncio.get_running_loop().time()
        await until(lambda: not outside.is_open, within_s=600)
        assert 400 * 0.8 <= asyncio.get_running_loop().time() - began <= 400 * 1.2 + 2

    play(story, EffectLimits(circuit=CircuitLimits(failures_max=2, pause_s_min=400, pause_s_max=500)))


def test_a_definition_limits_concurrent_effects() -> None:
    async def story(outside: Outside) -> None:
        outside.world.silent = False
        outside.world.responses.clear()
        asked = asyncio.create_task(outside.ask(5))
        await until(lambda: outside.world.asked)
        await asyncio.sleep(1)
        assert outside.world.asked == 3
        outside.world.responses.set()
        assert await asked == ["question of 01"] * 5

    play(story, EffectLimits(concurrent_max=3))


def test_an_effect_over_its_time_limit_is_unavailable() -> None:
    async def story(outside: Outside) -> None:
        outside.world.silent = False
        outside.world.responses.clear()
        began = asyncio.get_running_loop().time()
        results = await outside.ask(FAILURES_MAX)
        assert [str(each) for each in results] == ["no result within 7.0 s"] * FAILURES_MAX
        assert {type(each) for each in results} == {EffectUnavailable}
        assert asyncio.get_running_loop().time() - began == pytest.approx(7.0)
        assert outside.is_open

    play(story, EffectLimits(timeout_s=7.0))


def test_a_timeout_inside_a_handler_is_a_bug() -> None:
    """A handler that converts no TimeoutError has not thought of it: the retry ladder shows the traceback."""

    async def story(outside: Outside) -> None:
        async def impatient(effect: Any, first_asked: datetime) -> str:
            raise TimeoutError("of a call")

        outside.perform_effect = impatient
        [error] = await outside.ask(1)
        assert type(error) is TimeoutError and str(error) == "of a call"

    play(story, EffectLimits(timeout_s=7.0))


@pytest.mark.parametrize("limits", [{"concurrent_max": 0}, {"timeout_s": 0}])
def test_impossible_limits_of_effects_are_refused(limits: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="at least one effect at once, and a time limit above 0"):
        EffectLimits(**limits)


@pytest.mark.parametrize("limits", [{"failures_max": 0}, {"pause_s_min": 0}, {"pause_s_max": 0.5}])
def test_impossible_limits_of_a_circuit_are_refused(limits: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="at least one failure, and 0 < pause_s_min <= pause_s_max"):
        CircuitLimits(**limits)
