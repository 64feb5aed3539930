"""Puts payment_svc and its simulated card provider together: the same in a process of its own and in memory."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import APIRouter

from chassis.http import joined
from chassis.runtime import Effects, Routes, Runtime
from chassis.service import Perform
from payment_svc import api
from payment_svc.provider import perform
from payment_svc.simulator import SimulatedProvider


def with_simulator(provider: SimulatedProvider, *, faults: bool = False) -> tuple[Routes, Effects]:
    """The routes, with the provider's ledger beside the payments, and the effects. `faults`: also its switch."""

    @asynccontextmanager
    async def effects(runtime: Runtime) -> AsyncIterator[Perform]:
        await provider.start()
        try:
            yield perform(provider, runtime.clock)
        finally:
            await provider.stop()

    def routes(runtime: Runtime) -> APIRouter:
        switch = [api.outage_routes(provider)] if faults else []
        return joined(api.routes(runtime), api.ledger_routes(provider), *switch)

    return routes, effects
