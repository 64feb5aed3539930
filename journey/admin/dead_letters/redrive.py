"""Dead letters leave their queue: sent back to where they came from, or dropped for a reason.

    take it -> audit it, confirmed -> (redrive:) the origin queue has it, confirmed -> only then remove it

A kill at any moment leaves a letter where it was, or in both queues; then its second delivery is known by its id. Two
who do this at once share the work, for a letter is in one pair of hands at a time.
"""

import asyncio
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from chassis.bus import aiormq_connection
from chassis.bus.protocol import BusUnavailable, MessageNotEncodable
from chassis.bus.rabbitmq import RabbitBus
from chassis.clock import utc_now
from contracts.untrusted import shortened
from journey.admin.dead_letters import audit_log
from journey.admin.dead_letters.dead_letter import DeadLetter
from journey.admin.dead_letters.reader import DeadQueue, LockedDeadLetter, connected, dead_queue
from journey.infra.model import InfrastructureUnavailable

REDRIVE, DROP = "redrive", "drop"
# Brokers take back what has been held for half an hour: rather give it back before, and take it anew.
HOLD_S_MAX = 600.0
# A letter that was there and is not: somebody looks at it just now, or has taken it away.
LOOKS_MAX, LOOK_PAUSE_S = 4, 0.5

# A queue is handed some thirty acknowledgements of a channel at a time, and the others later: so rather fewer at once.
BATCH = 25

_ERROR_BYTES_MAX = 1_000

Death = tuple[str, datetime | None, str | None]


@dataclass(frozen=True)
class DeadLetterAction:
    """What is done with the letters, by whom and why; `batch` at a time, at most `rate` a second (0: no limit)."""

    action: str
    by: str
    reason: str = ""
    batch: int = BATCH
    rate: float = 0.0

    @property
    def at_once(self) -> int:
        return min(self.batch, max(1, int(self.rate))) if self.rate else self.batch


@dataclass
class ActionResult:
    """How far it got. `missing`: letters that were chosen and were not there any more; `unsent`: why each
    of the letters stays that could not be sent.
    """

    settled: int = 0
    missing: int = 0
    unsent: list[str] = field(default_factory=list)


async def settle(
    amqp_url: str,
    letters: Sequence[DeadLetter],
    act: DeadLetterAction,
    progress: Callable[[int], None] = lambda count: None,
) -> ActionResult:
    """Do it to these letters and no others; whatever has died since they were chosen stays.

    Raises InfrastructureUnavailable when the broker goes away; doing it again is harmless.
    """
    done = ActionResult()
    bus = RabbitBus(amqp_url)
    try:
        async with connected(amqp_url) as connection:
            await bus.start()
            settling = _Settling(bus, act, done, progress)
            for queue in dict.fromkeys(letter.queue for letter in letters):
                wanted = Counter(letter.id for letter in letters if letter.queue == queue)
                await settling.all_of(connection, queue, wanted)
                done.missing += wanted.total()
    except InfrastructureUnavailable as error:
        raise InfrastructureUnavailable(
            f"after {done.settled} of {len(letters)}: {error.reason}", error.remedy
        ) from None
    finally:
        await bus.stop()
    return done


class _Settling:
    def __init__(
        self, bus: RabbitBus, act: DeadLetterAction, done: ActionResult, progress: Callable[[int], None]
    ) -> None:
        self._bus, self._act, self._done, self._progress = bus, act, done, progress
        self._clock = asyncio.get_running_loop().time
        self._next = self._clock()
        self._gone: set[Death] = set()

    async def all_of(self, connection: aiormq_connection.Connection, name: str, wanted: Counter[str]) -> None:
        """Walk through a dead queue until nothing of ours is met any more.

        Acknowledgements have no answer. A broker that is busy keeps some for later, and forgets those when the channel
        is closed; what they were for is then there again, and is removed on the next walk without being sent again.
        """
        idle = 0
        while True:
            async with dead_queue(connection, name) as queue:
                idle = 0 if await self._walk(queue, wanted) else idle + 1
            if idle >= (LOOKS_MAX if wanted.total() else 1):
                return
            await asyncio.sleep(LOOK_PAUSE_S)  # also until the broker has taken back what we gave back

    async def _walk(self, queue: DeadQueue, wanted: Counter[str]) -> bool:
        """To the end of the queue, or as long as one may hold letters; whether anything of ours was met comes back."""
        met, end = False, self._clock() + HOLD_S_MAX
        while self._clock() < end and (held := await self._take(queue, wanted)):
            met = True
            fresh = [each for each in held if _death(each) not in self._gone]
            await queue.remove([each for each in held if _death(each) in self._gone])
            if fresh:
                await self._settle(queue, fresh)
                self._progress(self._done.settled)
            self._next = max(self._next, self._clock()) + (len(fresh) / self._act.rate if self._act.rate else 0)
        return met

    async def _take(self, queue: DeadQueue, wanted: Counter[str]) -> list[LockedDeadLetter]:
        """The next few; never two of one id, for brokers return messages by their ids."""
        await asyncio.sleep(max(0.0, self._next - self._clock()))
        taken: dict[str, LockedDeadLetter] = {}
        while len(taken) < self._act.at_once and (held := await queue.take()):
            gone, chosen = _death(held) in self._gone, wanted[held.letter.id] > 0
            if held.letter.id not in taken and (gone or chosen):
                wanted[held.letter.id] -= chosen
                self._done.settled += gone and chosen  # it died twice in one moment, and was sent back once
                taken[held.letter.id] = held
        return list(taken.values())

    async def _settle(self, queue: DeadQueue, held: list[LockedDeadLetter]) -> None:
        await audit_log.record(self._bus, [self._entry(each.letter) for each in held])
        if self._act.action == REDRIVE:
            held = await self._sent(held)
        await queue.remove(held)
        self._gone |= {_death(each) for each in held}
        self._done.settled += len(held)

    async def _sent(self, held: list[LockedDeadLetter]) -> list[LockedDeadLetter]:
        """Those that their origin queue has now. If the broker goes away we do not know: then they stay here too."""
        results = await self._bus.publish([each.letter.original_message for each in held])
        for error in results:
            if isinstance(error, BusUnavailable):
                raise error
        self._done.unsent += [_unsent(error) for error in results if error is not None]
        return [each for each, error in zip(held, results, strict=True) if error is None]

    def _entry(self, letter: DeadLetter) -> audit_log.AuditEntry:
        return audit_log.AuditEntry(
            at=utc_now(),
            by=self._act.by,
            action=self._act.action,
            reason=self._act.reason,
            message_id=shortened(letter.id),
            type=shortened(letter.type),
            journey_id=shortened(letter.journey_id),
            service=letter.service,
            queue=shortened(letter.origin_queue),
            error=shortened(letter.error, _ERROR_BYTES_MAX),
        )


def _unsent(error: Exception) -> str:
    """What a person needs to know. Only a missing queue can be made."""
    reason = shortened(error, _ERROR_BYTES_MAX)
    return reason if isinstance(error, MessageNotEncodable) else f"{reason}; `journey topology apply` makes the queue"


def _death(held: LockedDeadLetter) -> Death:
    """Tells one death of a message from the next: one that is redriven may die again while we are still at it."""
    return held.letter.id, held.letter.died_at, held.letter.origin.user
