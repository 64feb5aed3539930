"""Connects payment_svc to its simulated card provider,
for the service's process and for the in-memory shop.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import APIRouter

from chassis.core.definition import EffectHandler
from chassis.runtime import Effects, Routes, Runtime
from chassis.web.app import flatten_routers
from payment_svc import api
from payment_svc.payment import CardRequest, CardResult
from payment_svc.provider import effect_handler
from payment_svc.simulator import SimulatedProvider


def with_simulator(provider: SimulatedProvider, *, faults: bool = False) -> tuple[Routes, Effects]:
    """The routes, including the provider's ledger, and the effects. `faults`: also the outage routes."""

    @asynccontextmanager
    async def effects(runtime: Runtime) -> AsyncIterator[EffectHandler[CardRequest, CardResult]]:
        await provider.start()
        try:
            yield effect_handler(provider, runtime.clock)
        finally:
            await provider.stop()

    def routes(runtime: Runtime) -> APIRouter:
        switch = [api.outage_routes(provider)] if faults else []
        return flatten_routers(api.routes(runtime), api.ledger_routes(provider), *switch)

    return routes, effects
