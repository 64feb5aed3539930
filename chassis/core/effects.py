"""Calls to the outside world: a limit on how many run at once, and a circuit breaker.

While the circuit is open the queue of commands is paused, so that the messages wait in the broker and not in
a loop.
"""

import asyncio
from datetime import datetime
from typing import Any, Protocol

from chassis.circuit_breaker import CircuitBreaker, CircuitState
from chassis.core.definition import CircuitOpen, EffectHandler, EffectUnavailable, ServiceDefinition
from chassis.core.pending_message import PendingMessage


class PausableQueue(Protocol):
    """The subscription that brings the messages whose decisions request effects."""

    async def pause(self) -> None: ...
    async def resume(self) -> None: ...


class EffectRunner:
    """Runs the effects of one service: at most `effects_max` at once,
    and those of one message never twice at once.

    An effect without an idempotency key would happen twice, so a copy of its message waits until it has
    ended.
    """

    def __init__(
        self, service: ServiceDefinition, handler: EffectHandler[Any, Any] | None, breaker: CircuitBreaker
    ) -> None:
        self._service = service
        self._handler = handler
        self._breaker = breaker
        self._slots = asyncio.Semaphore(service.effects_max)
        self._in_progress: set[str] = set()  # message ids
        self._pausing: asyncio.Task[None] | None = None
        self.commands: PausableQueue | None = None

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
            return await self._call(self._handler, effect, pending.envelope.sent_at)

    async def stop(self) -> None:
        """Leave the queue as it is: without this, it might resume a queue that the runtime has paused."""
        if self._pausing is not None:
            self._pausing.cancel()

    async def _call(self, handler: EffectHandler[Any, Any], effect: object, first_sent_at: datetime) -> Any:
        is_probe = self._breaker.state is CircuitState.HALF_OPEN
        if not self._breaker.allow_request():
            raise CircuitOpen("the circuit is open")
        try:
            result = await handler(effect, first_sent_at)
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

    async def _pause_while_open(self) -> None:
        if self.commands is not None:
            await self.commands.pause()
        while open_s := self._breaker.open_s:
            await asyncio.sleep(open_s)
        self._pausing = None
        if self.commands is not None:
            await self.commands.resume()
