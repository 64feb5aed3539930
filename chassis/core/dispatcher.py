"""Group commit: whatever has arrived while the last group was being written becomes the next group.

No timer, no size to tune: alone a message is a group of one; under load hundreds share one read, one write, one
round of publisher confirms. While one group is being published the next one is already read and decided; while only
a few messages are being written, the next ones do not wait for them. No aggregate is ever in two groups at once.
"""

import asyncio
import random
from collections import Counter, deque
from collections.abc import Coroutine, Sequence
from typing import Any

from chassis import telemetry
from chassis.backoff import Backoff
from chassis.bus.protocol import Bus, BusUnavailable, Delivery, MessageNotEncodable
from chassis.clock import Clock
from chassis.core import retry
from chassis.core.aggregate_cache import AggregateCache
from chassis.core.decision import RunEffect
from chassis.core.definition import CircuitOpen, EffectHandler, EffectUnavailable, ServiceDefinition, TooOld
from chassis.core.effect_breaker import EffectBreaker
from chassis.core.process import AggregateKey, PendingMessage, process_group
from chassis.store.protocol import Store, StoreUnavailable
from contracts.envelope import Envelope, Forged, Malformed, WireMessage, parse

GROUP_MAX = 200
# How many messages about one aggregate a group takes while there are others to take.
SHARE_MAX = 50
_BACKOFF_S_MAX = 5.0
# While no more than these are being written, the next group need not wait for them: few messages, short waits.
_FEW = 8


class Dispatcher:
    """Takes deliveries of all queues of one service, and sees each one through to its acknowledgement."""

    def __init__(
        self,
        service: ServiceDefinition,
        store: Store,
        bus: Bus,
        clock: Clock,
        run_effect: EffectHandler | None,
        breaker: EffectBreaker,
    ) -> None:
        self._service, self._store, self._bus, self._clock = service, store, bus, clock
        self._run_effect, self._breaker = run_effect, breaker
        self._effects = asyncio.Semaphore(service.effects_max)
        self._waiting: deque[PendingMessage] = deque()
        self._busy: set[AggregateKey] = set()
        self._cache = AggregateCache()
        self._running_effects: set[str] = set()  # ids of messages whose question is before the outside world
        self._writing = 0
        self._writing_max = 1 if service.changes_related else _FEW
        self._bug: BaseException | None = None
        self._arrived = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()
        self.store_unavailable = asyncio.Event()
        self.in_flight = 0

    def receive(self, delivery: Delivery) -> None:
        """Check one delivery and let it wait for its group; what can never be handled is a dead letter at once."""
        wire_message = delivery.wire_message
        self.in_flight += 1
        try:
            if delivery.returned >= retry.RETURNS_MAX:
                raise retry.PoisonMessage(f"it came back {delivery.returned} times: its consumer died over it")
            envelope, message = parse(wire_message, reader=self._service.name)
            aggregate = self._service.by_type.get(type(message))
            if aggregate is None:
                raise Malformed(f"{wire_message.type} is not heard by {self._service.name}; a binding is wrong")
        except (Malformed, retry.PoisonMessage) as error:
            if isinstance(error, Forged):
                telemetry.forged(self._service.name, delivery, error)
            letter = retry.dead_letter(wire_message, delivery.queue, self._service.name, error, self._clock())
            self._spawn(self._route_to_retry(delivery, letter, error))
            return
        self._waiting.append(PendingMessage(delivery, envelope, message, aggregate, aggregate.key(message)))
        self._arrived.set()

    async def run(self) -> None:
        """Until cancelled. Raises nothing but bugs."""
        try:
            while True:
                await self._arrived.wait()
                if self._service.linger_s and len(self._waiting) < _FEW:
                    await asyncio.sleep(self._service.linger_s)
                self._arrived.clear()
                if self._bug is not None:
                    raise self._bug
                while self._writing < self._writing_max and (group := self._next_batch()):
                    self._writing += len(group)
                    self._spawn(self._process_batch(group))
        finally:
            for task in self._tasks:
                task.cancel()

    async def drain(self) -> None:
        """Until nothing is in hand any more; the caller sets the time limit."""
        while self.in_flight:
            await asyncio.sleep(0.02)

    def _next_batch(self) -> list[PendingMessage]:
        """The next group: of each aggregate no more than its share, unless there is room left."""
        shares: Counter[AggregateKey] = Counter()
        able = self._suspects_alone([pending for pending in self._waiting if not self._held_up(pending)])
        fair: list[PendingMessage] = []
        for pending in able:
            shares[pending.aggregate_key] += 1
            if shares[pending.aggregate_key] <= SHARE_MAX:
                fair.append(pending)
        chosen = set(fair[:GROUP_MAX])
        chosen.update([pending for pending in able if pending not in chosen][: GROUP_MAX - len(chosen)])
        group = [pending for pending in able if pending in chosen]  # as they came
        self._waiting = deque(pending for pending in self._waiting if pending not in chosen)
        self._busy.update(pending.aggregate_key for pending in group)
        return group

    def _suspects_alone(self, able: list[PendingMessage]) -> list[PendingMessage]:
        """Without those that wait for a suspect: what the process may die over is handled alone, when all is finished
        that was in hand before. A subscription cannot see to that, because a service has two queues.

        Of several suspects the one that came back least is first: the culprit came back at each death.
        """
        suspects = [pending for pending in able if pending.delivery.returned >= retry.RETURNS_SUSPECT]
        if not suspects:
            return able
        if before := able[: able.index(suspects[0])]:
            return before
        if self.in_flight > len(self._waiting):
            return []
        return [min(suspects, key=lambda pending: (pending.delivery.returned, random.random()))]

    def _held_up(self, pending: PendingMessage) -> bool:
        """A copy waits while the effect of its message is running. Run twice at once, an effect without an idempotency
        key would happen twice."""
        return pending.aggregate_key in self._busy or (
            pending.result is None and pending.envelope.id in self._running_effects
        )

    async def _process_batch(self, group: list[PendingMessage]) -> None:
        await self._write(group)
        self._writing -= len(group)
        self._arrived.set()
        await self._dispatch_outcomes(group)

    async def _write(self, group: list[PendingMessage]) -> None:
        backoff = Backoff(0.1, _BACKOFF_S_MAX)
        while True:
            try:
                await process_group(self._service, self._store, self._cache, group, self._clock)
                break
            except StoreUnavailable as error:
                # The deliveries stay in our hands: settled neither way, and no redelivery is burned.
                self.store_unavailable.set()
                telemetry.log.warning("store unavailable, nothing is consumed until it is back", error=str(error))
                await backoff.pause()
        self.store_unavailable.clear()
        telemetry.GROUP_SIZE.observe(len(group))

    async def _dispatch_outcomes(self, group: list[PendingMessage]) -> None:
        said: list[tuple[PendingMessage, Sequence[Envelope]]] = []
        try:
            for pending in group:
                match pending.outcome:
                    case RunEffect() if pending.result is None and pending.envelope.id in self._running_effects:
                        self._waiting.append(pending)
                    case RunEffect(effect=effect):
                        self._running_effects.add(pending.envelope.id)
                        self._spawn(self._ask(pending, effect))
                    case Exception() as error:
                        self._spawn(self._fail(pending, error))
                    case tuple() as envelopes:
                        self._release_effect(pending)
                        said.append((pending, envelopes))
            await self._publish_and_ack(said)
        finally:
            self._busy.difference_update(pending.aggregate_key for pending in group)
            self._arrived.set()

    async def _publish_and_ack(self, said: Sequence[tuple[PendingMessage, Sequence[Envelope]]]) -> None:
        # A message that comes twice in one group is said once and acknowledged twice.
        wire_messages = {envelope.id: envelope.wire_message() for _, envelopes in said for envelope in envelopes}
        refused = await self._publish(wire_messages)
        for pending, envelopes in said:
            errors = [refused[e.id] for e in envelopes if e.id in refused]
            if errors:
                self._spawn(self._fail(pending, errors[0]))
            else:
                await self._ack(pending)

    async def _publish(self, wire_messages: dict[str, WireMessage]) -> dict[str, Exception]:
        """Publish until the broker has said yes or no to each; the refused ones come back by id."""
        refused: dict[str, Exception] = {}
        backoff = Backoff(0.05, _BACKOFF_S_MAX)
        while wire_messages:
            results = await self._bus.publish(list(wire_messages.values()))
            outcome = dict(zip(wire_messages, results, strict=True))
            refused |= {id_: error for id_, error in outcome.items() if error and not isinstance(error, BusUnavailable)}
            wire_messages = {id_: wire_messages[id_] for id_, e in outcome.items() if isinstance(e, BusUnavailable)}
            if wire_messages:
                await backoff.pause()
        return refused

    async def _ack(self, pending: PendingMessage) -> None:
        await pending.delivery.ack()
        self.in_flight -= 1
        telemetry.handled(self._service.name, pending)

    async def _ask(self, pending: PendingMessage, effect: object) -> None:
        """Put the question outside, under the bulkhead, and let the work wait again with its answer."""
        assert self._run_effect is not None, f"{self._service.name} asks {effect!r} but performs nothing"
        try:
            async with self._effects:
                pending.result = await self._breaker.call(self._run_effect, effect, pending.envelope.said_at)
        except EffectUnavailable as error:
            asked, wire_message = not isinstance(error, CircuitOpen), pending.delivery.wire_message
            later = retry.postpone(wire_message, pending.delivery.queue, self._service.name, asked=asked)
            await self._route_to_retry(pending.delivery, later, error)
            self._release_effect(pending)
        except Exception as error:  # a bug in the effect: it alone goes to the retry ladder
            await self._fail(pending, error)
        else:
            self._waiting.append(pending)
            self._arrived.set()

    async def _fail(self, pending: PendingMessage, error: Exception) -> None:
        next_stop_after = retry.dead_letter if isinstance(error, TooOld) else retry.after_failure
        failed = pending.delivery.wire_message, pending.delivery.queue, self._service.name, error, self._clock()
        next_stop = next_stop_after(*failed)
        await self._route_to_retry(pending.delivery, next_stop, error)
        self._release_effect(pending)

    def _release_effect(self, pending: PendingMessage) -> None:
        """Its copies need not wait for its answer any more."""
        self._running_effects.discard(pending.envelope.id)
        self._arrived.set()

    async def _route_to_retry(self, delivery: Delivery, wire_message: WireMessage, error: Exception) -> None:
        """Publish to the ladder or the dead letters, confirmed; only then acknowledge the original.

        What no broker could take because of what the message itself is like becomes a smaller dead letter.
        """
        telemetry.handed_over(self._service.name, delivery, wire_message, error)
        smaller = retry.smaller_dead_letters(
            delivery.wire_message, delivery.queue, self._service.name, error, self._clock()
        )
        for each in (wire_message, *smaller):
            refused = await self._publish({each.message_id or "": each})
            if not any(isinstance(refusal, MessageNotEncodable) for refusal in refused.values()):
                break
        if refused:
            telemetry.log.error(
                "the ladder or the dead letter queue is missing: apply the topology", queue=delivery.queue
            )
            await Backoff(1.0, 1.0).pause()
            await delivery.requeue()
        else:
            await delivery.ack()
        self.in_flight -= 1
        self._arrived.set()

    def _spawn(self, coroutine: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (bug := task.exception()) is not None:
            self._bug = bug
            self._arrived.set()
