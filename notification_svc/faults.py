"""A test aid, never for production: makes the handling of every event fail, to show that orders do not care.

NOTIFICATION_FAULT=raise makes each event raise; NOTIFICATION_FAULT=hang makes each wait for ever, while the event
loop goes on turning. Either is refused unless JOURNEY_ALLOW_FAULTS=1.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import datetime
from typing import Any

from chassis.decision import Ask, Decision
from chassis.runtime import Effects, Runtime
from chassis.service import Aggregate, Perform, Service
from contracts.message import Event
from notification_svc.settings import Fault

_FOR_EVER = "wait for ever"


def with_fault(service: Service, fault: Fault) -> Service:
    if not fault:
        return service
    return replace(service, aggregates=tuple(_broken(aggregate, fault) for aggregate in service.aggregates))


def _broken(aggregate: Aggregate, fault: Fault) -> Aggregate:
    def decide(state: Any, message: Any, *neighbours: Any) -> Decision[Any] | Ask:
        if not isinstance(message, Event):
            return aggregate.decide(state, message, *neighbours)
        if fault == "hang":
            return Ask(_FOR_EVER)
        raise RuntimeError("NOTIFICATION_FAULT=raise")

    return replace(aggregate, decide=decide)


def hanging(effects: Effects) -> Effects:
    """The same effects, and besides them a question that is never answered."""

    @asynccontextmanager
    async def wrapped(runtime: Runtime) -> AsyncIterator[Perform]:
        async with effects(runtime) as perform:

            async def perform_or_hang(question: Any, first_asked: datetime) -> Any:
                if question == _FOR_EVER:
                    await asyncio.Event().wait()
                return await perform(question, first_asked)

            yield perform_or_hang

    return wrapped
