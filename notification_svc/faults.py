"""Faults for tests and demonstrations, never for production.

The switch `mail-server-away` makes every delivery fail as if the mail server were down.

Two settings make the handling of every event fail, to show that orders are not affected.
NOTIFICATION_FAULT=raise makes each event raise; NOTIFICATION_FAULT=hang makes each wait for ever, while the
event loop keeps running. Both are rejected unless JOURNEY_ALLOW_FAULTS=1.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import datetime
from typing import Any

from chassis.core.decision import Context, Decision, RunEffect
from chassis.core.definition import Aggregate, EffectHandler, EffectUnavailable, ServiceDefinition
from chassis.fault_switches import SwitchableFault
from chassis.messaging.message import Event
from chassis.runtime import Effects, Runtime
from notification_svc.settings import Fault

_FOR_EVER = "wait for ever"
_DAY_S = 86_400.0


class MailServerSwitch:
    """While it is on, the mail server is treated as unavailable."""

    def __init__(self) -> None:
        self.is_on = False
        description = "the mail server is unavailable; mails wait"
        self.fault = SwitchableFault("mail-server-away", description, self._switch)

    async def _switch(self, on: bool) -> None:
        self.is_on = on

    def covers(self, effects: Effects) -> Effects:
        """The same effects, which raise EffectUnavailable while the switch is on."""

        @asynccontextmanager
        async def wrapped(runtime: Runtime) -> AsyncIterator[EffectHandler[Any, Any]]:
            async with effects(runtime) as perform:

                async def perform_unless_on(effect: Any, first_asked: datetime) -> Any:
                    if self.is_on:
                        raise EffectUnavailable("the mail server: turned off by a fault switch")
                    return await perform(effect, first_asked)

                yield perform_unless_on

        return wrapped


def with_fault(service: ServiceDefinition, fault: Fault) -> ServiceDefinition:
    if not fault:
        return service
    aggregates = tuple(_with_fault(aggregate, fault) for aggregate in service.aggregates)
    effects = replace(service.effects, timeout_s=_DAY_S) if fault == "hang" else service.effects
    return replace(service, aggregates=aggregates, effects=effects)


def _with_fault(aggregate: Aggregate[Any], fault: Fault) -> Aggregate[Any]:
    def decide(state: Any, message: Any, context: Context[Any]) -> Decision[Any] | RunEffect:
        if not isinstance(message, Event):
            return aggregate.decide(state, message, context)
        if fault == "hang":
            return RunEffect(_FOR_EVER)
        raise RuntimeError("NOTIFICATION_FAULT=raise")

    # The effect that hangs does nothing that could be repeated. A lease would outlast the repair.
    return replace(aggregate, decide=decide, effects_are_idempotent=fault == "hang")


def with_hanging_effect(effects: Effects) -> Effects:
    """The same effects, and another one that never returns a result."""

    @asynccontextmanager
    async def wrapped(runtime: Runtime) -> AsyncIterator[EffectHandler[Any, Any]]:
        async with effects(runtime) as perform:

            async def perform_or_hang(effect: Any, first_asked: datetime) -> Any:
                if effect == _FOR_EVER:
                    await asyncio.Event().wait()
                return await perform(effect, first_asked)

            yield perform_or_hang

    return wrapped
