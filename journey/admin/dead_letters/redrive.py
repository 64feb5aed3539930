"""Removes dead letters from their queue: redrives them to their origin queue, or drops them with a reason.

    take it -> audit it, confirmed -> (redrive:) the origin queue has it, confirmed -> only then remove it

After a kill, a dead letter is in its old queue or in both. In the second case, the consumer recognizes the
second delivery by its id. Two operators can do this at the same time, because a dead letter is locked by one
channel at a time.
"""

import asyncio
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from chassis.bus.aiormq_frames import aiormq_connection
from chassis.bus.protocol import BusUnavailable, MessageNotEncodable
from chassis.bus.rabbitmq import RabbitBus
from chassis.clock import utc_now
from chassis.messaging.untrusted import shortened
from journey.admin.dead_letters import audit_log
from journey.admin.dead_letters.dead_letter import DeadLetter
from journey.admin.dead_letters.reader import DeadQueue, LockedDeadLetter, connected, dead_queue
from journey.admin.infrastructure_unavailable import InfrastructureUnavailable

REDRIVE, DROP = "redrive", "drop"
# Brokers requeue messages that are unacknowledged for 30 minutes, so give them back earlier and take them
# again.
HOLD_S_MAX = 600.0
# A chosen dead letter that is missing: another reader has locked it, or someone has removed it.
LOOKS_MAX, LOOK_PAUSE_S = 4, 0.5

# Brokers pass about 30 acknowledgements of a channel to a queue at a time and delay the others, so stay below
# that.
BATCH = 25

_ERROR_BYTES_MAX = 1_000

Death = tuple[str, datetime | None, str | None]


@dataclass(frozen=True)
class DeadLetterAction:
    """What to do with the dead letters, by whom and why.

    `batch`: dead letters at a time; `rate`: per second, 0: no limit.
    """

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
    """The outcome. `missing`: chosen dead letters that were no longer there; `unsent`:
    for each dead letter that could not be sent and stays, the reason.
    """

    settled: int = 0
    missing: int = 0
    unsent: list[str] = field(default_factory=list)


async def redrive_or_drop(
    amqp_url: str,
    dead_letters: Sequence[DeadLetter],
    act: DeadLetterAction,
    progress: Callable[[int], None] = lambda count: None,
) -> ActionResult:
    """Redrive or drop exactly these dead letters; those that came after the selection stay.

    Raises InfrastructureUnavailable if the broker connection breaks; repeating the call is safe.
    """
    done = ActionResult()
    bus = RabbitBus(amqp_url)
    try:
        async with connected(amqp_url) as connection:
            await bus.start()
            settling = _Settling(bus, act, done, progress)
            for queue in dict.fromkeys(dead_letter.queue for dead_letter in dead_letters):
                wanted = Counter(dead_letter.id for dead_letter in dead_letters if dead_letter.queue == queue)
                await settling.all_of(connection, queue, wanted)
                done.missing += wanted.total()
    except InfrastructureUnavailable as error:
        raise InfrastructureUnavailable(
            f"after {done.settled} of {len(dead_letters)}: {error.reason}", error.remedy
        ) from None
    finally:
        await bus.stop()
    return done


class _Settling:
    def __init__(
        self, bus: RabbitBus, act: DeadLetterAction, done: ActionResult, progress: Callable[[int], None]
    ) -> None:
        self._bus = bus
        self._act = act
        self._done = done
        self._progress = progress
        self._clock = asyncio.get_running_loop().time
        self._next = self._clock()
        self._gone: set[Death] = set()

    async def all_of(self, connection: aiormq_connection.Connection, name: str, wanted: Counter[str]) -> None:
        """Walk through a dead-letter queue until none of the chosen dead letters is left.

        Acknowledgements are not confirmed. A busy broker delays some, and discards them when the channel is
        closed. Their dead letters are then in the queue again, and the next walk removes them without
        sending them again.
        """
        idle = 0
        while True:
            async with dead_queue(connection, name) as queue:
                idle = 0 if await self._walk(queue, wanted) else idle + 1
            if idle >= (LOOKS_MAX if wanted.total() else 1):
                return
            await asyncio.sleep(LOOK_PAUSE_S)  # the broker also needs time to requeue what was given back

    async def _walk(self, queue: DeadQueue, wanted: Counter[str]) -> bool:
        """To the end of the queue, or for HOLD_S_MAX seconds. Returns whether it found any chosen one."""
        met, end = False, self._clock() + HOLD_S_MAX
        while self._clock() < end and (held := await self._take(queue, wanted)):
            met = True
            fresh = [each for each in held if _death(each) not in self._gone]
            await queue.remove([each for each in held if _death(each) in self._gone])
            if fresh:
                await self._settle(queue, fresh)
                self._progress(self._done.settled)
            self._next = max(self._next, self._clock()) + (
                len(fresh) / self._act.rate if self._act.rate else 0
            )
        return met

    async def _take(self, queue: DeadQueue, wanted: Counter[str]) -> list[LockedDeadLetter]:
        """The next batch, without two dead letters of one id: brokers return unroutable messages by id."""
        await asyncio.sleep(max(0.0, self._next - self._clock()))
        taken: dict[str, LockedDeadLetter] = {}
        while len(taken) < self._act.at_once and (held := await queue.take()):
            gone, chosen = _death(held) in self._gone, wanted[held.dead_letter.id] > 0
            if held.dead_letter.id not in taken and (gone or chosen):
                wanted[held.dead_letter.id] -= chosen
                self._done.settled += gone and chosen  # dead-lettered twice within a moment, redriven once
                taken[held.dead_letter.id] = held
        return list(taken.values())

    async def _settle(self, queue: DeadQueue, held: list[LockedDeadLetter]) -> None:
        await audit_log.record(self._bus, [self._entry(each.dead_letter) for each in held])
        if self._act.action == REDRIVE:
            held = await self._sent(held)
        await queue.remove(held)
        self._gone |= {_death(each) for each in held}
        self._done.settled += len(held)

    async def _sent(self, held: list[LockedDeadLetter]) -> list[LockedDeadLetter]:
        """The dead letters that reached their origin queue.

        If the broker does not respond, this is unknown: all stay.
        """
        results = await self._bus.publish([each.dead_letter.original_message for each in held])
        for error in results:
            if isinstance(error, BusUnavailable):
                raise error
        self._done.unsent += [_unsent(error) for error in results if error is not None]
        return [each for each, error in zip(held, results, strict=True) if error is None]

    def _entry(self, dead_letter: DeadLetter) -> audit_log.AuditEntry:
        return audit_log.AuditEntry(
            at=utc_now(),
            by=self._act.by,
            action=self._act.action,
            reason=self._act.reason,
            message_id=shortened(dead_letter.id),
            type=shortened(dead_letter.type),
            journey_id=shortened(dead_letter.journey_id),
            service=dead_letter.service,
            queue=shortened(dead_letter.origin_queue),
            error=shortened(dead_letter.error, _ERROR_BYTES_MAX),
        )


def _unsent(error: Exception) -> str:
    """The reason for the operator. Only a missing queue can be fixed by applying the topology."""
    reason = shortened(error, _ERROR_BYTES_MAX)
    return (
        reason
        if isinstance(error, MessageNotEncodable)
        else f"{reason}; `journey topology apply` creates the queue"
    )


def _death(held: LockedDeadLetter) -> Death:
    """Distinguishes two deaths of one message: a redriven message can die again before the walk ends."""
    return held.dead_letter.id, held.dead_letter.died_at, held.dead_letter.origin.user
