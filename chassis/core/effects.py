"""Calls to the outside world: a limit on how many run at once, and a circuit breaker (Nygard, "Release It!").

While the breaker is open the queue of commands is paused, so that the messages wait in the broker and not in
a loop. After the pause one effect at a time is a probe, until one gets a response.
"""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Any

from chassis.backoff import Backoff
from chassis.core.definition import CircuitOpen, EffectHandler, EffectUnavailable, ServiceDefinition
from chassis.core.pending_message import PendingMessage

FAILURES_MAX = 5


class EffectBreaker:
    """Opens after FAILURES_MAX effects in a row without a response.

    Each failed probe makes the next pause longer.
    """

    def __init__(self, pause_s_min: float = 1.0, pause_s_max: float = 30.0) -> None:
        self._backoff = Backoff(pause_s_min, pause_s_max, jitter=0.2)
        self._failures = 0
        self._half_open = False  # it was open, and there was no response since
        self._probing = False
        self._reopen: asyncio.Task[None] | None = None
        self.pause: Callable[[], Awaitable[None]] | None = None
        self.resume: Callable[[], Awaitable[None]] | None = None

    @property
    def open(self) -> bool:
        return self._reopen is not None

    async def call(self, run_effect: EffectHandler, effect: Any, first_sent_at: datetime) -> Any:
        if self.open or self._probing:
            raise CircuitOpen("the circuit is open")
        probe = self._probing = self._half_open
        try:
            result = await run_effect(effect, first_sent_at)
        except EffectUnavailable:
            self._failures += 1
            # A single failed probe opens it again.
            if not self.open and self._failures >= (1 if self._half_open else FAILURES_MAX):
                self._reopen = asyncio.create_task(self._open())
            raise
        finally:
            self._probing = self._probing and not probe
        self._failures = 0
        self._half_open = False
        self._backoff.reset()
        return result

    async def stop(self) -> None:
        if self._reopen is not None:
            self._reopen.cancel()

    async def _open(self) -> None:
        self._half_open = True
        if self.pause is not None:
            await self.pause()
        await self._backoff.pause()
        self._failures = 0
        self._reopen = None
        if self.resume is not None:
            await self.resume()


class EffectRunner:
    """Runs the effects of one service: at most `effects_max` at once,
    and those of one message never twice at once.

    An effect without an idempotency key would happen twice, so a copy of its message waits until it has
    ended.
    """

    def __init__(
        self, service: ServiceDefinition, handler: EffectHandler | None, breaker: EffectBreaker
    ) -> None:
        self._service = service
        self._handler = handler
        self._breaker = breaker
        self._slots = asyncio.Semaphore(service.effects_max)
        self._in_progress: set[str] = set()  # message ids

    def blocks(self, pending: PendingMessage) -> bool:
        """Whether the effect of a copy of this message is running, and this one brings no result."""
        return pending.result is None and pending.envelope.id in self._in_progress

    def begin(self, pending: PendingMessage) -> None:
        """The effect counts as running from now until `end`."""
        if self._handler is None:
            raise TypeError(
                f"{self._service.name} was started without effects, and a message needs one: {pending!r}"
            )
        self._in_progress.add(pending.envelope.id)

    def end(self, pending: PendingMessage) -> None:
        self._in_progress.discard(pending.envelope.id)

    async def run(self, pending: PendingMessage, effect: object) -> Any:
        """The result of the effect.

        Raises EffectUnavailable if there is none, or what a bug in the effect raises.
        """
        assert self._handler is not None  # see `begin`
        async with self._slots:
            return await self._breaker.call(self._handler, effect, pending.envelope.said_at)
