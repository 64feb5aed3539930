"""`python -m payment_svc`: run payment_svc as a process of its own, with its simulated card provider."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import APIRouter

from chassis.mongo import MongoStore
from chassis.runtime import Runtime, run
from chassis.service import Perform
from chassis.settings import load_settings
from payment_svc import api
from payment_svc.provider import perform
from payment_svc.service import payment_service
from payment_svc.settings import PaymentSettings
from payment_svc.simulator import SimulatedProvider


def main() -> None:
    settings: PaymentSettings = load_settings(PaymentSettings)
    provider = SimulatedProvider(
        MongoStore(settings.mongo_url, settings.provider_database, settings.mongo_driver), settings.simulator_latency_ms
    )

    @asynccontextmanager
    async def effects(runtime: Runtime) -> AsyncIterator[Perform]:
        await provider.start()
        try:
            yield perform(provider)
        finally:
            await provider.stop()

    def routes(runtime: Runtime) -> APIRouter:
        router = api.routes(runtime)
        router.include_router(api.ledger_routes(provider))
        return router

    run(payment_service(), settings, routes=routes, effects=effects)


if __name__ == "__main__":
    main()
