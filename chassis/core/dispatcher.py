"""Settles each delivery of a service: inbox -> committer -> acknowledgement, with effects in between.

Group commit: alone a message is a batch of one; under load hundreds share one read, one write and one round
of publisher confirms. While one batch is being published the next one is already read and decided; while only
a few messages are being written, the next ones do not wait for them.
"""

import asyncio
from collections.abc import Coroutine, Sequence
from typing import Any

from chassis.bus.protocol import Bus, Delivery
from chassis.clock import Clock
from chassis.core import retry
from chassis.core.committer import Committer
from chassis.core.decision import RunEffect
from chassis.core.definition import EffectUnavailable, ServiceDefinition
from chassis.core.effects import EffectRunner
from chassis.core.inbox import FEW, Inbox
from chassis.core.message_spans import BatchSpans, effect_span
from chassis.core.observer import MessageObserver
from chassis.core.other_release import OtherRelease
from chassis.core.pending_message import PendingMessage
from chassis.core.process import MessageProcessor
from chassis.messaging.envelope import Envelope, Forged, Malformed
from chassis.store.cached import CachedStore


class Dispatcher:
    """Takes the deliveries of all queues of one service, and settles each one."""

    def __init__(
        self,
        service: ServiceDefinition,
        store: CachedStore,
        bus: Bus,
        *,
        clock: Clock,
        effects: EffectRunner,
        observer: MessageObserver | None = None,
    ) -> None:
        self._service = service
        self._effects = effects
        self._clock = clock
        self._inbox = Inbox(service)
        processor = MessageProcessor(service, store, clock=clock)
        self._observer = observer or MessageObserver(service, clock)
        self._committer = Committer(
            service, processor, bus, clock=clock, observer=self._observer, settled=self._inbox.settled
        )
        self._writing = 0
        # While no more messages than these are being written, the next batch need not wait for them.
        self._writing_max = 1 if service.changes_related else FEW
        self._bug: BaseException | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def in_flight(self) -> int:
        """How many deliveries are not settled yet."""
        return self._inbox.unsettled

    @property
    def store_problem(self) -> str:
        """Why a batch is not written yet; empty if none waits."""
        return self._committer.store_problem

    def receive(self, delivery: Delivery) -> None:
        """Put one delivery into the inbox; what can never be handled is dead-lettered at once."""
        self._inbox.unsettled += 1
        try:
            pending = self._inbox.parse(delivery, self._clock())
        except OtherRelease as error:
            self._spawn(self._committer.leave_to_other_release(delivery, error))
        except (Malformed, retry.PoisonMessage) as error:
            if isinstance(error, Forged):
                role = self._service.catalog.role_of(delivery.wire_message.user_id)
                self._observer.forged(delivery, error, role=role)
            self._spawn(self._committer.give_up(delivery, error))
        else:
            self._observer.received(pending)
            self._inbox.put(pending)

    async def run(self) -> None:
        """Until cancelled. Raises nothing but bugs."""
        try:
            while True:
                await self._inbox.wait()
                if self._bug is not None:
                    raise self._bug
                while self._writing < self._writing_max and (batch := self._inbox.next_batch()):
                    self._writing += len(batch)
                    self._spawn(self._process_batch(batch))
        finally:
            for task in self._tasks:
                task.cancel()

    async def drain(self) -> None:
        """Until every delivery is settled; the caller sets the time limit."""
        while self.in_flight:
            await asyncio.sleep(0.02)

    async def _process_batch(self, batch: list[PendingMessage]) -> None:
        with self._observer.batch(batch) as spans:
            await self._committer.process(batch, spans)
            self._writing -= len(batch)
            # Messages about one aggregate are published in the order of their decisions. Where nothing is
            # published the next decision need not wait, least of all for the broker to come back.
            publishing = {
                each.aggregate_key for each in batch if isinstance(each.outcome, tuple) and each.outcome
            }
            self._inbox.release([each for each in batch if each.aggregate_key not in publishing])
            try:
                await self._dispatch_outcomes(batch, spans)
            finally:
                self._inbox.release([each for each in batch if each.aggregate_key in publishing])

    async def _dispatch_outcomes(self, batch: list[PendingMessage], spans: BatchSpans) -> None:
        emitted: list[tuple[PendingMessage, Sequence[Envelope]]] = []
        for pending in batch:
            if not isinstance(pending.outcome, RunEffect):
                self._effects.return_slot(pending)
            match pending.outcome:
                case RunEffect(effect=effect):
                    self._effects.require_handler(pending)
                    if pending.needs_lease and pending.lease is None:
                        self._spawn(self._wait_for_slot(pending))
                    else:
                        self._spawn(self._run_effect(pending, effect))
                case Exception() as error:
                    self._spawn(self._fail(pending, error))
                case tuple() as envelopes:
                    emitted.append((pending, envelopes))
        for pending, error in await self._committer.publish_and_ack(emitted, spans):
            self._spawn(self._fail(pending, error))

    async def _wait_for_slot(self, pending: PendingMessage) -> None:
        """Then the message is decided again, and gets the lease of its aggregate."""
        try:
            await self._effects.take_slot(pending)
        except EffectUnavailable as error:
            await self._fail(pending, error)
        else:
            self._inbox.put(pending)

    async def _run_effect(self, pending: PendingMessage, effect: object) -> None:
        """Run the effect. Then the message waits for its next batch, with the result.

        So it does with an error that a write must record, because it ends the lease.
        """
        try:
            with effect_span(pending, effect):
                pending.result = await self._effects.run(pending, effect)
        except Exception as error:  # a bug in the effect: this message alone goes to the retry ladder
            if pending.lease is None:
                await self._fail(pending, error)
                return
            pending.effect_error = error
        self._inbox.put(pending)

    async def _fail(self, pending: PendingMessage, error: Exception) -> None:
        if isinstance(error, EffectUnavailable):
            await self._committer.postpone(pending, error)
        else:
            await self._committer.fail(pending, error)

    def _spawn(self, coroutine: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (bug := task.exception()) is not None:
            self._bug = bug
            self._inbox.wake()
