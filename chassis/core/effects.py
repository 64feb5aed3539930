"""Calls to the outside world: a limit on how many run at once, and a circuit breaker.

While the circuit is open the queue of commands is paused, so that the messages wait in the broker and not in
a loop.
"""

import asyncio
import math
import time
from collections.abc import Awaitable
from dataclasses import replace
from datetime import datetime
from typing import Any

from chassis.circuit_breaker import CircuitBreaker, CircuitState
from chassis.clock import Clock, utc_now
from chassis.core.definition import (
    CircuitOpen,
    EffectHandler,
    EffectNotTried,
    EffectUnavailable,
    ServiceDefinition,
)
from chassis.core.observer import EffectOutcome, MessageObserver
from chassis.core.pausing import PausableQueue
from chassis.core.pending_message import PendingMessage
from chassis.telemetry.circuits import report_circuit


class EffectRunner:
    """Runs the effects of one service, at most `concurrent_max` at once."""

    def __init__(
        self,
        service: ServiceDefinition,
        handler: EffectHandler[Any, Any] | None,
        *,
        clock: Clock = utc_now,
        observer: MessageObserver | None = None,
    ) -> None:
        self._service = service
        self._clock = clock
        self._observer = observer or MessageObserver(service, clock)
        self._handler = handler
        # Its definition or its handler limits the time of every effect, and so of a probe.
        self._breaker = CircuitBreaker(
            probe_s=math.inf, limits=service.effects.circuit, changed=report_circuit(service.name, "effects")
        )
        self._slots = asyncio.Semaphore(service.effects.concurrent_max)
        self._stopping = False
        self._pausing: asyncio.Task[None] | None = None
        self.commands: PausableQueue | None = None
        """The subscription that brings the messages whose decisions request effects."""

    @property
    def circuit(self) -> CircuitState:
        return self._breaker.state

    def require_handler(self, pending: PendingMessage) -> None:
        if self._handler is None:
            raise TypeError(
                f"{self._service.name} was started without effects, and a message needs one: {pending!r}"
            )

    async def take_slot(self, pending: PendingMessage) -> None:
        """Wait until the effect of this message may be one of those that run at once.

        Raises EffectNotTried after `stop` if the effect would be repeated after an interruption.
        """
        await self._slots.acquire()
        pending.has_slot = True
        if self._stopping and pending.needs_lease:
            self.return_slot(pending)
            raise EffectNotTried("this instance stops")

    def return_slot(self, pending: PendingMessage) -> None:
        """If the message has one."""
        if pending.has_slot:
            pending.has_slot = False
            self._slots.release()

    async def run(self, pending: PendingMessage, effect: object) -> Any:
        """The result of the effect. Waits for a slot unless the message has one, and returns the slot.

        Raises EffectUnavailable if there is none, or what a bug in the effect raises.
        """
        assert self._handler is not None  # see `require_handler`
        if not pending.has_slot:
            await self.take_slot(pending)
        began_at = self._clock()
        began = time.perf_counter()
        outcome: EffectOutcome = "ended"
        try:
            result = await self._call(self._handler, effect, pending.envelope.sent_at)
        except BaseException as error:
            outcome = _outcome_of(error)
            raise
        finally:
            self.return_slot(pending)
            self._observer.effect_ended(
                pending, effect, outcome=outcome, duration_s=time.perf_counter() - began
            )
        pending.times = replace(pending.times, effect_began_at=began_at, effect_ended_at=self._clock())
        return result

    async def stop(self) -> None:
        """Begin no effect that would be repeated after an interruption.

        Leave the queue as it is: without this, it might resume a queue that the runtime has paused.
        """
        self._stopping = True
        if self._pausing is not None:
            self._pausing.cancel()

    async def _call(self, handler: EffectHandler[Any, Any], effect: object, first_sent_at: datetime) -> Any:
        is_probe = self._breaker.state is CircuitState.HALF_OPEN
        if not self._breaker.allow_request():
            raise CircuitOpen("the circuit is open")
        try:
            result = await self._within_limit(handler(effect, first_sent_at))
        except EffectUnavailable:
            self._breaker.record_failure()
            if self._breaker.state is CircuitState.OPEN and self._pausing is None:
                self._pausing = asyncio.create_task(self._pause_while_open())
            raise
        except BaseException:  # a bug, or cancelled: it says nothing about the outside world
            if is_probe:
                self._breaker.abandon_probe()
            raise
        self._breaker.record_success()
        return result

    async def _within_limit(self, result: Awaitable[Any]) -> Any:
        """Raises EffectUnavailable if the effect takes longer than its definition allows.

        A TimeoutError of the handler itself stays one: it is a bug, because the handler must convert it.
        """
        limit = asyncio.timeout(self._service.effects.timeout_s)
        try:
            async with limit:
                return await result
        except TimeoutError:
            if not limit.expired():
                raise
            raise EffectUnavailable(f"no result within {self._service.effects.timeout_s} s") from None

    async def _pause_while_open(self) -> None:
        if self.commands is not None:
            await self.commands.pause()
        while open_s := self._breaker.open_s:
            await asyncio.sleep(open_s)
        self._pausing = None
        if self.commands is not None:
            await self.commands.resume()


def _outcome_of(error: BaseException) -> EffectOutcome:
    if isinstance(error, CircuitOpen):
        return "circuit_open"
    if isinstance(error, EffectUnavailable):
        return "unavailable"
    return "bug" if isinstance(error, Exception) else "cancelled"
