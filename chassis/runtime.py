"""A running service: starts, reports readiness, drains on SIGTERM.

Production and tests use the same wiring.
"""

import asyncio
import contextlib
import gc
import math
import signal
import sys
from collections.abc import AsyncIterator, Callable, Coroutine
from functools import partial
from typing import Any, TypeVar

import uvloop
from fastapi import APIRouter

from chassis import telemetry
from chassis.backoff import Backoff
from chassis.bus.protocol import Bus, BusUnavailable, QueueMissing, Subscription
from chassis.bus.rabbitmq import RabbitBus
from chassis.circuit_breaker import CircuitBreaker
from chassis.clock import Clock, utc_now
from chassis.core.definition import EffectHandler, ServiceDefinition
from chassis.core.dispatcher import Dispatcher
from chassis.core.effects import EffectRunner
from chassis.core.sweeper import sweep_unpublished
from chassis.core.timers import send_due_reminders
from chassis.health import PROBE_EVERY_S, Health
from chassis.retention import FIRST_AFTER_S, keep_in_accord
from chassis.settings import Settings
from chassis.store.cached import CachedStore
from chassis.store.mongodb import MongoStore
from chassis.store.protocol import Store, StoreRefused, StoreUnavailable
from chassis.web import app

Effects = Callable[["Runtime"], contextlib.AbstractAsyncContextManager[EffectHandler[Any, Any]]]
Routes = Callable[["Runtime"], APIRouter]
Lifespan = Callable[["Runtime"], contextlib.AbstractAsyncContextManager[None]]
"""What runs beside the message path while database and broker are connected, such as a public HTTP server."""
T = TypeVar("T")


class Runtime:
    """One instance of a service on a bus and a store."""

    watch_s = 0.5  # interval of the deadline check; the sweeper's is ten times as long
    probe_s = PROBE_EVERY_S
    retention_after_s: float | None = FIRST_AFTER_S  # delay of the first retention run; None: never

    def __init__(
        self,
        service: ServiceDefinition,
        bus: Bus,
        store: Store,
        *,
        effects: Effects | None = None,
        lifespan: Lifespan | None = None,
        clock: Clock = utc_now,
    ) -> None:
        """`lifespan`: entered once, before the first delivery; left after the last one is settled."""
        self.service = service
        self.bus = bus
        self.store = store
        self.clock = clock
        self._effects = effects
        self._lifespan = lifespan
        self._health = Health(store, bus, clock)
        self._breaker = CircuitBreaker(probe_s=math.inf)  # an effect has time limits of its own
        self._effect_runner: EffectRunner | None = None
        self._dispatcher: Dispatcher | None = None
        self._subscriptions: list[Subscription] = []
        self._tasks: list[asyncio.Task[None]] = []
        self._dispatching: asyncio.Task[None] | None = None
        self._resources = contextlib.AsyncExitStack()
        self.crashed: asyncio.Future[Any] = asyncio.get_running_loop().create_future()

    async def start(self) -> None:
        """Connect, retrying while a server is unavailable, then consume.

        Raises only errors that a retry cannot fix.
        """
        await _patiently("database", partial(self.store.start, self.service.kinds))
        await _patiently("broker", self.bus.start)
        if self._lifespan is not None:
            await self._resources.enter_async_context(self._lifespan(self))
        run_effect = await self._resources.enter_async_context(self._effects(self)) if self._effects else None
        effects = EffectRunner(self.service, run_effect, self._breaker)
        self._effect_runner = effects
        store = CachedStore(self.store, self.service.cached_kinds)
        self._dispatcher = Dispatcher(self.service, store, self.bus, clock=self.clock, effects=effects)
        self._dispatching = self._supervise("dispatcher", self._dispatcher.run())
        await self._subscribe(self.service.events_queue, self.service.prefetch_events)
        commands = await self._subscribe(self.service.commands_queue, self.service.prefetch_commands)
        effects.commands = commands
        self._start_background()
        telemetry.CONSUMING.labels(self.service.name).set(1)
        telemetry.log.info("consuming", service=self.service.name)

    def _start_background(self) -> None:
        timers = send_due_reminders(
            self.service, self.store, self.bus, clock=self.clock, every_s=self.watch_s
        )
        self._supervise("timers", timers)
        sweeper = sweep_unpublished(
            self.service, self.store, self.bus, clock=self.clock, every_s=10 * self.watch_s
        )
        self._supervise("sweeper", sweeper)
        if self.retention_after_s is not None:
            accord = keep_in_accord(
                self.service, self.store, self.clock, first_after_s=self.retention_after_s
            )
            self._supervise("retention", accord)
        self._supervise("health", self._health.watch(self.probe_s))

    async def stop(self, drain_s: float = 20.0) -> None:
        """Stop consuming, finish the messages in flight, and exit.

        Unacknowledged messages are redelivered elsewhere.

        After a crash of the dispatcher no message in flight can finish, so the process does not wait: its
        replacement should start at once.
        """
        telemetry.CONSUMING.labels(self.service.name).set(0)
        if self._effect_runner is not None:
            await self._effect_runner.stop()
        for subscription in self._subscriptions:
            await subscription.pause()
        if self._dispatcher is not None and self._dispatching is not None:
            draining = asyncio.create_task(self._dispatcher.drain())
            await asyncio.wait(
                [draining, self._dispatching], timeout=drain_s, return_when=asyncio.FIRST_COMPLETED
            )
            draining.cancel()
        await self.kill()

    async def kill(self) -> None:
        """Stop at once, like a crash: messages in flight are not settled."""
        if self._effect_runner is not None:
            await self._effect_runner.stop()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._resources.aclose()
        await self.bus.stop()
        await self.store.stop()

    def unready(self) -> str:
        """Why the service is not consuming now; empty if it is."""
        if self._dispatcher is None or not self._subscriptions:
            return "starting: not connected to database and broker yet"
        if self._dispatcher.store_unavailable:
            return "the database does not answer"
        if not self.bus.ready:
            return "the broker has not registered our consumers"
        return self._health.problem

    async def _subscribe(self, queue: str, prefetch: int) -> Subscription:
        assert self._dispatcher is not None
        subscribe = partial(self.bus.subscribe, queue, prefetch, receive=self._dispatcher.receive)
        subscription = await _patiently(f"queue {queue}", subscribe)
        self._subscriptions.append(subscription)
        return subscription

    def _supervise(self, name: str, coroutine: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(coroutine, name=name)
        task.add_done_callback(self._task_ended)
        self._tasks.append(task)
        return task

    def _task_ended(self, task: asyncio.Task[None]) -> None:
        """A background task that ends unasked counts as a crash,
        even if a dying connection "cancelled" it.
        """
        asked = task.cancelled() and task.cancelling()
        error = (
            RuntimeError(f"{task.get_name()} was cancelled, but not by us")
            if task.cancelled()
            else task.exception()
        )
        if (
            error is not None and not asked and not self.crashed.done()
        ):  # without an error it had nothing to do
            self.crashed.set_result(error)


async def _patiently(what: str, attempt: Callable[[], Coroutine[Any, Any, T]]) -> T:
    backoff = Backoff(0.2, 2.5, jitter=1.0)
    while True:
        try:
            return await attempt()
        except (StoreUnavailable, BusUnavailable, QueueMissing, TimeoutError) as error:
            telemetry.log.warning("waiting", for_=what, error=repr(error))
            await backoff.pause()


def run(
    service: ServiceDefinition,
    settings: Settings,
    *,
    routes: Routes | None = None,
    effects: Effects | None = None,
    lifespan: Lifespan | None = None,
) -> None:
    """Run one service as a process until SIGTERM or SIGINT.

    Exits with 1 on a crash, or if it can never start.
    """
    telemetry.configure(settings.log_level, settings.log_pretty)
    # Everything loaded by now stays until the process ends, and messages create no reference cycles. With
    # Python's default thresholds garbage collection took a fifth of a busy service's time.
    gc.freeze()
    gc.set_threshold(50_000, 20, 50)
    try:
        crash = uvloop.run(_serve(service, settings, routes=routes, effects=effects, lifespan=lifespan))
    except StoreRefused as error:
        telemetry.log.error("cannot start", service=service.name, error=str(error))
        sys.exit(1)
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
) -> BaseException | None:
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopping.set)
    store = MongoStore(settings.mongo_url, settings.mongo_database or service.name, settings.mongo_driver)
    runtime = Runtime(service, RabbitBus(settings.broker_url()), store, effects=effects, lifespan=lifespan)
    async with _http(runtime, settings, routes):
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
async def _http(runtime: Runtime, settings: Settings, routes: Routes | None) -> AsyncIterator[None]:
    server = app.Server(app.create_app(runtime, routes(runtime) if routes else None), settings)
    serving = asyncio.create_task(server.serve())
    try:
        yield
    finally:
        server.should_exit = True
        await serving
