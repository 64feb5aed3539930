"""A test aid, never for production: makes the handling of every event fail,
to show that orders are not affected.

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
from chassis.core.definition import Aggregate, EffectHandler, ServiceDefinition
from chassis.messaging.message import Event
from chassis.runtime import Effects, Runtime
from notification_svc.settings import Fault

_FOR_EVER = "wait for ever"


def with_fault(service: ServiceDefinition, fault: Fault) -> ServiceDefinition:
    if not fault:
        return service
    return replace(
        service, aggregates=tuple(_with_fault(aggregate, fault) for aggregate in service.aggregates)
    )


def _with_fault(aggregate: Aggregate[Any], fault: Fault) -> Aggregate[Any]:
    def decide(state: Any, message: Any, context: Context[Any]) -> Decision[Any] | RunEffect:
        if not isinstance(message, Event):
            return aggregate.decide(state, message, context)
        if fault == "hang":
            return RunEffect(_FOR_EVER)
        raise RuntimeError("NOTIFICATION_FAULT=raise")

    return replace(aggregate, decide=decide)


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
