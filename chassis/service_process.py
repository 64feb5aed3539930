"""Runs one service as a process: on RabbitMQ and MongoDB, with its HTTP server, until a signal."""

import asyncio
import contextlib
import gc
import signal
import sys
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace

import uvloop

from chassis import telemetry
from chassis.bus.rabbitmq import RabbitBus
from chassis.core.definition import ServiceDefinition
from chassis.fault_switches import FaultSwitches, SwitchableFault
from chassis.recovery_window import require_recoverable
from chassis.runtime import Effects, Lifespan, Routes, Runtime
from chassis.settings import Settings
from chassis.store.mongodb import MongoStore
from chassis.store.protocol import StoreRefused
from chassis.telemetry.tracing_setup import start_tracing
from chassis.web import app


def run(
    service: ServiceDefinition,
    settings: Settings,
    *,
    routes: Routes | None = None,
    effects: Effects | None = None,
    lifespan: Lifespan | None = None,
    faults: Sequence[SwitchableFault] = (),
) -> None:
    """Run one service as a process until SIGTERM or SIGINT.

    `faults`: can be switched on only if the settings allow faults.
    Exits with 1 on a crash, or if it can never start. Raises BadSettings.
    """
    require_recoverable(service, settings.recovery_window)
    service = replace(service, partitions=settings.partitions_of(service.name))
    telemetry.configure(settings.log_level, settings.log_pretty, service=service.name)
    stop_tracing = start_tracing(delayed_continue=settings.trace_delayed == "continue")
    # Everything loaded by now stays until the process ends, and messages create no reference cycles. With
    # Python's default thresholds garbage collection took a fifth of a busy service's time.
    gc.freeze()
    gc.set_threshold(50_000, 20, 50)
    try:
        switches = FaultSwitches(faults) if settings.journey_allow_faults else None
        serving = _serve(
            service, settings, routes=routes, effects=effects, lifespan=lifespan, faults=switches
        )
        crash = uvloop.run(serving)
    except StoreRefused as error:
        telemetry.log.error("cannot start", service=service.name, error=str(error))
        sys.exit(1)
    finally:
        stop_tracing()
    if crash is not None:
        telemetry.log.error("crashed", service=service.name, exc_info=crash)
        sys.exit(1)


async def _serve(
    service: ServiceDefinition,
    settings: Settings,
    *,
    routes: Routes | None,
    effects: Effects | None,
    lifespan: Lifespan | None,
    faults: FaultSwitches | None,
) -> BaseException | None:
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopping.set)
    database = settings.mongo_database or service.name
    store = MongoStore(settings.database_url, database, settings.mongo_driver, service=service.name)
    bus = RabbitBus(settings.broker_url)
    runtime = Runtime(service, bus, store, effects=effects, lifespan=lifespan, faults=faults)
    async with served(runtime, settings, routes):
        starting = asyncio.create_task(runtime.start())
        asked = asyncio.create_task(stopping.wait())
        await asyncio.wait([starting, asked], return_when=asyncio.FIRST_COMPLETED)
        if starting.done():
            starting.result()
            await asyncio.wait([asked, runtime.crashed], return_when=asyncio.FIRST_COMPLETED)
        else:
            starting.cancel()
        asked.cancel()
        telemetry.log.info("draining", service=service.name)
        await runtime.stop(settings.drain_s)
    return runtime.crashed.result() if runtime.crashed.done() else None


@contextlib.asynccontextmanager
async def served(runtime: Runtime, settings: Settings, routes: Routes | None) -> AsyncIterator[None]:
    """The internal HTTP server: also while database and broker cannot be reached, and as long as they are
    connected at the stop.
    """
    server = app.Server(app.create_app(runtime, routes(runtime) if routes else None), settings)
    serving = asyncio.create_task(server.serve())

    async def finish() -> None:
        server.finish(runtime.left_s)
        await serving

    runtime.before_disconnecting(finish)
    try:
        yield
    finally:
        await finish()
