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

from chassis import retry, telemetry
from chassis.breaker import Breaker
from chassis.bus import Bus, BusUnavailable, Delivery, Uncarriable
from chassis.decision import Ask
from chassis.handle import Clock, Place, Work, handle
from chassis.known import Known
from chassis.service import CircuitOpen, EffectUnavailable, Perform, Service, TooOld
from chassis.store import Store, StoreUnavailable
from contracts.envelope import Envelope, Forged, Malformed, Parcel, parse

GROUP_MAX = 200
# How many messages about one aggregate a group takes while there are others to take.
SHARE_MAX = 50
_BACKOFF_S_MAX = 5.0
# While no more than these are being written, the next group need not wait for them: few messages, short waits.
_FEW = 8


class Batcher:
    """Takes deliveries of all queues of one service, and sees each one through to its acknowledgement."""

    def __init__(
        self, service: Service, store: Store, bus: Bus, clock: Clock, perform: Perform | None, breaker: Breaker
    ) -> None:
        self._service, self._store, self._bus, self._clock = service, store, bus, clock
        self._perform, self._breaker = perform, breaker
        self._effects = asyncio.Semaphore(service.effects_max)
        self._waiting: deque[Work] = deque()
        self._busy: set[Place] = set()
        self._known = Known()
        self._asking: set[str] = set()  # ids of messages whose question is before the outside world
        self._writing = 0
        self._writing_max = 1 if service.changes_alongside else _FEW
        self._bug: BaseException | None = None
        self._arrived = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()
        self.store_away = asyncio.Event()
        self.in_hand = 0

    def receive(self, delivery: Delivery) -> None:
        """Check one delivery and let it wait for its group; what can never be handled is a dead letter at once."""
        parcel = delivery.parcel
        self.in_hand += 1
        try:
            if delivery.returned >= retry.RETURNS_MAX:
                raise retry.PoisonMessage(f"it came back {delivery.returned} times: its consumer died over it")
            envelope, message = parse(parcel, reader=self._service.name)
            aggregate = self._service.by_type.get(type(message))
            if aggregate is None:
                raise Malformed(f"{parcel.type} is not heard by {self._service.name}; a binding is wrong")
        except (Malformed, retry.PoisonMessage) as error:
            if isinstance(error, Forged):
                telemetry.forged(self._service.name, delivery, error)
            letter = retry.dead_letter(parcel, delivery.queue, self._service.name, error, self._clock())
            self._spawn(self._hand_over(delivery, letter, error))
            return
        self._waiting.append(Work(delivery, envelope, message, aggregate, aggregate.key(message)))
        self._arrived.set()

    async def run(self) -> None:
        """Until cancelled. Raises nothing but bugs."""
        try:
            while True:
                await self._arrived.wait()
                if self._service.gathers_s and len(self._waiting) < _FEW:
                    await asyncio.sleep(self._service.gathers_s)
                self._arrived.clear()
                if self._bug is not None:
                    raise self._bug
                while self._writing < self._writing_max and (group := self._take()):
                    self._writing += len(group)
                    self._spawn(self._see_through(group))
        finally:
            for task in self._tasks:
                task.cancel()

    async def drain(self) -> None:
        """Until nothing is in hand any more; the caller sets the time limit."""
        while self.in_hand:
            await asyncio.sleep(0.02)

    def _take(self) -> list[Work]:
        """The next group: of each aggregate no more than its share, unless there is room left."""
        shares: Counter[Place] = Counter()
        able = self._suspects_alone([work for work in self._waiting if not self._held_up(work)])
        fair: list[Work] = []
        for work in able:
            shares[work.place] += 1
            if shares[work.place] <= SHARE_MAX:
                fair.append(work)
        chosen = set(fair[:GROUP_MAX])
        chosen.update([work for work in able if work not in chosen][: GROUP_MAX - len(chosen)])
        group = [work for work in able if work in chosen]  # as they came
        self._waiting = deque(work for work in self._waiting if work not in chosen)
        self._busy.update(work.place for work in group)
        return group

    def _suspects_alone(self, able: list[Work]) -> list[Work]:
        """Without those that wait for a suspect: what the process may die over is handled alone, when all is finished
        that was in hand before. A subscription cannot see to that, because a service has two queues.

        Of several suspects the one that came back least is first: the culprit came back at each death.
        """
        suspects = [work for work in able if work.delivery.returned >= retry.RETURNS_SUSPECT]
        if not suspects:
            return able
        if before := able[: able.index(suspects[0])]:
            return before
        if self.in_hand > len(self._waiting):
            return []
        return [min(suspects, key=lambda work: (work.delivery.returned, random.random()))]

    def _held_up(self, work: Work) -> bool:
        """A copy waits while the effect of its message is running. Run twice at once, an effect without an idempotency
        key would happen twice."""
        return work.place in self._busy or (work.answer is None and work.envelope.id in self._asking)

    async def _see_through(self, group: list[Work]) -> None:
        await self._write(group)
        self._writing -= len(group)
        self._arrived.set()
        await self._finish(group)

    async def _write(self, group: list[Work]) -> None:
        backoff = 0.1
        while True:
            try:
                await handle(self._service, self._store, self._known, group, self._clock)
                break
            except StoreUnavailable as error:
                # The deliveries stay in our hands: settled neither way, and no redelivery is burned.
                self.store_away.set()
                telemetry.log.warning("store unavailable, nothing is consumed until it is back", error=str(error))
                await asyncio.sleep(backoff)
                backoff = min(backoff * 2, _BACKOFF_S_MAX)
        self.store_away.clear()
        telemetry.GROUP_SIZE.observe(len(group))

    async def _finish(self, group: list[Work]) -> None:
        said: list[tuple[Work, Sequence[Envelope]]] = []
        try:
            for work in group:
                match work.outcome:
                    case Ask() if work.answer is None and work.envelope.id in self._asking:
                        self._waiting.append(work)
                    case Ask(question=question):
                        self._asking.add(work.envelope.id)
                        self._spawn(self._ask(work, question))
                    case Exception() as error:
                        self._spawn(self._fail(work, error))
                    case tuple() as envelopes:
                        self._asked(work)
                        said.append((work, envelopes))
            await self._publish_and_ack(said)
        finally:
            self._busy.difference_update(work.place for work in group)
            self._arrived.set()

    async def _publish_and_ack(self, said: Sequence[tuple[Work, Sequence[Envelope]]]) -> None:
        # A message that comes twice in one group is said once and acknowledged twice.
        parcels = {envelope.id: envelope.parcel() for _, envelopes in said for envelope in envelopes}
        refused = await self._publish(parcels)
        for work, envelopes in said:
            errors = [refused[e.id] for e in envelopes if e.id in refused]
            if errors:
                self._spawn(self._fail(work, errors[0]))
            else:
                await self._ack(work)

    async def _publish(self, parcels: dict[str, Parcel]) -> dict[str, Exception]:
        """Publish until the broker has said yes or no to each; the refused ones come back by id."""
        refused: dict[str, Exception] = {}
        backoff = 0.05
        while parcels:
            results = await self._bus.publish(list(parcels.values()))
            outcome = dict(zip(parcels, results, strict=True))
            refused |= {id_: error for id_, error in outcome.items() if error and not isinstance(error, BusUnavailable)}
            parcels = {id_: parcels[id_] for id_, e in outcome.items() if isinstance(e, BusUnavailable)}
            if parcels:
                await asyncio.sleep(backoff)
                backoff = min(backoff * 2, _BACKOFF_S_MAX)
        return refused

    async def _ack(self, work: Work) -> None:
        await work.delivery.ack()
        self.in_hand -= 1
        telemetry.handled(self._service.name, work)

    async def _ask(self, work: Work, question: object) -> None:
        """Put the question outside, under the bulkhead, and let the work wait again with its answer."""
        assert self._perform is not None, f"{self._service.name} asks {question!r} but performs nothing"
        try:
            async with self._effects:
                work.answer = await self._breaker.call(self._perform, question, work.envelope.said_at)
        except EffectUnavailable as error:
            asked, parcel = not isinstance(error, CircuitOpen), work.delivery.parcel
            later = retry.postponed(parcel, work.delivery.queue, self._service.name, asked=asked)
            await self._hand_over(work.delivery, later, error)
            self._asked(work)
        except Exception as error:  # a bug in the effect: it alone goes to the retry ladder
            await self._fail(work, error)
        else:
            self._waiting.append(work)
            self._arrived.set()

    async def _fail(self, work: Work, error: Exception) -> None:
        next_stop_after = retry.dead_letter if isinstance(error, TooOld) else retry.after_failure
        failed = work.delivery.parcel, work.delivery.queue, self._service.name, error, self._clock()
        next_stop = next_stop_after(*failed)
        await self._hand_over(work.delivery, next_stop, error)
        self._asked(work)

    def _asked(self, work: Work) -> None:
        """Its copies need not wait for its answer any more."""
        self._asking.discard(work.envelope.id)
        self._arrived.set()

    async def _hand_over(self, delivery: Delivery, parcel: Parcel, error: Exception) -> None:
        """Publish to the ladder or the dead letters, confirmed; only then acknowledge the original.

        What no broker could take because of what the message itself is like becomes a smaller dead letter.
        """
        telemetry.handed_over(self._service.name, delivery, parcel, error)
        smaller = retry.smaller_letters(delivery.parcel, delivery.queue, self._service.name, error, self._clock())
        for each in (parcel, *smaller):
            refused = await self._publish({each.message_id or "": each})
            if not any(isinstance(refusal, Uncarriable) for refusal in refused.values()):
                break
        if refused:
            telemetry.log.error(
                "the ladder or the dead letter queue is missing: apply the topology", queue=delivery.queue
            )
            await asyncio.sleep(1.0)
            await delivery.requeue()
        else:
            await delivery.ack()
        self.in_hand -= 1
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
