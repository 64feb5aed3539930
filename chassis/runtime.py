"""A running service: starts, reports readiness, drains on SIGTERM.

Production and tests use the same wiring.
"""

import asyncio
import contextlib
import math
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from functools import partial
from typing import Any

from fastapi import APIRouter

from chassis import telemetry
from chassis.bus.protocol import Bus, Subscription
from chassis.cancellation import cancel
from chassis.clock import Clock, utc_now
from chassis.core.background import BackgroundTask, Work, keep_running
from chassis.core.definition import EffectHandler, ServiceDefinition
from chassis.core.dispatcher import Dispatcher
from chassis.core.effects import EffectRunner
from chassis.core.observer import MessageObserver
from chassis.core.pausing import PausableQueue, PauseSwitch, QueueGroup
from chassis.core.starting import patiently
from chassis.core.sweeper import sweep_unpublished
from chassis.core.timers import send_due_reminders
from chassis.fault_switches import FaultSwitches, SwitchableFault
from chassis.health import PROBE_EVERY_S, Health
from chassis.retention import FIRST_AFTER_S, keep_in_accord
from chassis.sampling import SAMPLE_S, observe_lag, sample_store
from chassis.store.cached import CachedStore
from chassis.store.protocol import Store
from chassis.telemetry import metrics

Effects = Callable[["Runtime"], contextlib.AbstractAsyncContextManager[EffectHandler[Any, Any]]]
Routes = Callable[["Runtime"], APIRouter]
Lifespan = Callable[["Runtime"], contextlib.AbstractAsyncContextManager[None]]
"""What runs beside the message path while database and broker are connected, such as a public HTTP server."""
_PAUSED = "consumes no messages; they wait in its queues"
_RESPOND_S = 1.0  # what a request needs at most to respond once it no longer waits


class Runtime:
    """One instance of a service on a bus and a store."""

    timer_check_s = 0.5  # interval of the deadline check; the sweeper's is ten times as long
    probe_s = PROBE_EVERY_S
    sample_s: float | None = SAMPLE_S  # interval of the samples for gauges; None: none
    retention_after_s: float | None = FIRST_AFTER_S  # delay of the first retention run; None: never

    def __init__(
        self,
        service: ServiceDefinition,
        bus: Bus,
        store: Store,
        *,
        effects: Effects | None = None,
        lifespan: Lifespan | None = None,
        faults: FaultSwitches | None = None,
        clock: Clock = utc_now,
    ) -> None:
        """`lifespan`: entered once, before the first delivery; left after the last one is settled.

        `faults`: the service's fault switches, to which the runtime adds its own; None if none are allowed.
        """
        self.service = service
        self.bus = bus
        self.store = store
        self.clock = clock
        self._effects = effects
        self._lifespan = lifespan
        self._pause = PauseSwitch()
        self.faults = faults
        if faults is not None:
            faults.add(SwitchableFault("paused", _PAUSED, self._pause.turn))
        self._health = Health(store, bus, clock, service=service.name)
        self._observer = MessageObserver(service, clock)
        self._effect_runner: EffectRunner | None = None
        self._dispatcher: Dispatcher | None = None
        self._subscriptions: list[Subscription] = []
        self._tasks: list[asyncio.Task[None]] = []
        self._dispatching: asyncio.Task[None] | None = None
        self._resources = contextlib.AsyncExitStack()
        # Set when the instance begins to stop. Streams end then.
        self.stopping = asyncio.Event()
        self._stops_at = 0.0
        self.crashed: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self.background_error: BaseException | None = None
        """The latest error of a background task, which runs again since. Tests must find none."""

    async def start(self) -> None:
        """Connect, retrying while a server is unavailable, then consume.

        Raises only errors that a retry cannot fix.
        """
        await patiently("database", partial(self.store.start, self.service.kinds))
        await patiently("broker", self.bus.start)
        if self._lifespan is not None:
            await self._resources.enter_async_context(self._lifespan(self))
        run_effect = await self._resources.enter_async_context(self._effects(self)) if self._effects else None
        effects = EffectRunner(self.service, run_effect, clock=self.clock, observer=self._observer)
        self._effect_runner = effects
        store = CachedStore(self.store, self.service.cached_kinds, self.service.name)
        self._dispatcher = Dispatcher(
            self.service, store, self.bus, clock=self.clock, effects=effects, observer=self._observer
        )
        self._dispatching = self._supervise("dispatcher", self._dispatcher.run())
        await self._subscribe_all(self.service.events_queues, self.service.prefetch_events)
        effects.commands = await self._subscribe_all(
            self.service.commands_queues, self.service.prefetch_commands
        )
        self._start_background()
        metrics.CONSUMING.labels(self.service.name).set(1)
        telemetry.log.info("consuming", service=self.service.name)

    def _start_background(self) -> None:
        service = self.service
        store = self.store
        clock = self.clock
        every_s = self.timer_check_s
        self._background(
            "timers", lambda: send_due_reminders(service, store, self.bus, clock=clock, every_s=every_s)
        )
        self._background(
            "sweeper", lambda: sweep_unpublished(service, store, self.bus, clock=clock, every_s=10 * every_s)
        )
        if (after_s := self.retention_after_s) is not None:
            self._background(
                "retention", lambda: keep_in_accord(service, store, clock, first_after_s=after_s)
            )
        self._background("health", lambda: self._health.probe_forever(self.probe_s))
        if (sample_s := self.sample_s) is not None:
            self._background("samples", lambda: sample_store(service, store, clock=clock, every_s=sample_s))
            self._background("event loop lag", lambda: observe_lag(service.name))

    async def stop(self, drain_s: float = 20.0) -> None:
        """Stop consuming, finish the messages and the requests in flight, and exit.

        Unacknowledged messages are redelivered elsewhere.

        `drain_s` is for both: requests get what the messages have left. After a crash of the dispatcher no
        message in flight can finish, so the process does not wait: its replacement should start at once.
        """
        if not self.crashed.done():
            self._stops_at = asyncio.get_running_loop().time() + drain_s
        self.stopping.set()
        metrics.CONSUMING.labels(self.service.name).set(0)
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
        self.stopping.set()
        if self._effect_runner is not None:
            await self._effect_runner.stop()
        await cancel(self._tasks)
        if self.faults is not None:
            await self.faults.close()
        await self._resources.aclose()
        await self.bus.stop()
        await self.store.stop()

    def before_disconnecting(self, callback: Callable[[], Awaitable[None]]) -> None:
        """Call it at the stop, when no more messages are handled; database and broker are still connected."""
        self._resources.push_async_callback(callback)

    @property
    def left_s(self) -> float:
        """How much of the drain is left for requests in flight, which need database and broker."""
        return max(0.0, self._stops_at - asyncio.get_running_loop().time())

    @property
    def must_respond(self) -> bool:
        """The instance stops, and a request that waits for a change has no time left to wait."""
        return self.stopping.is_set() and self.left_s < _RESPOND_S

    def unready(self) -> str:
        """Why the service is not consuming now; empty if it is."""
        if self.stopping.is_set():
            return "stopping: finishes the messages and requests in flight"
        if self._dispatcher is None or not self._subscriptions:
            return "starting: not connected to database and broker yet"
        if self._pause.is_on:
            return "paused by a fault switch"
        if self._dispatcher.store_problem:
            return self._dispatcher.store_problem
        if not self.bus.ready:
            return "the broker has not registered our consumers"
        return self._health.problem

    async def _subscribe_all(self, queues: Sequence[str], prefetch: int) -> QueueGroup:
        """`prefetch`: of all partitions together; the queue of added messages gets as many as one of them."""
        share = math.ceil(prefetch / self.service.partitions)
        return QueueGroup([await self._subscribe(queue, share) for queue in queues])

    async def _subscribe(self, queue: str, prefetch: int) -> PausableQueue:
        assert self._dispatcher is not None
        subscribe = partial(self.bus.subscribe, queue, prefetch, receive=self._dispatcher.receive)
        subscription = await patiently(f"queue {queue}", subscribe)
        self._subscriptions.append(subscription)
        return await self._pause.add(subscription)

    def _background(self, task: BackgroundTask, work: Work) -> None:
        running = keep_running(work, service=self.service.name, task=task, on_error=self._background_failed)
        self._supervise(task, running)

    def _background_failed(self, error: BaseException) -> None:
        self.background_error = error

    def _supervise(self, name: str, coroutine: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(coroutine, name=name)
        task.add_done_callback(self._task_ended)
        self._tasks.append(task)
        return task

    def _task_ended(self, task: asyncio.Task[None]) -> None:
        """A task that ends unasked counts as a crash, even if a dying connection "cancelled" it."""
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
