"""Redrives and drops that were asked for here: which letters, by whom, how far, and what became of them.

One at a time for each service, so that no two take letters out of each other's hands. All of it is in the audit log as
well, and in nobody's memory but ours: after a restart the letters are where they were, and the log tells of the rest.
"""

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from urllib.parse import quote

import httpx
from pydantic import BaseModel, TypeAdapter, ValidationError

from chassis import telemetry
from chassis.handle import Clock
from journey.dead_letters import DeadLetter
from journey.infra.model import InfrastructureUnavailable
from journey.settling import REDRIVE, Act
from operations.broker import Broker
from operations.letters import Letters

_RUNS_MAX = 200
_ASKED_AT_ONCE, _ASKED_MAX = 8, 200
_ANSWER_S_MAX = 2.0


class _Step(BaseModel):
    """What this page needs of a handled message."""

    message_id: str


_STEPS = TypeAdapter(list[_Step])


class State(StrEnum):
    RUNNING = "running"
    DONE = "done"
    STOPPED = "stopped"
    BROKEN_OFF = "broken off"


@dataclass
class Run:
    """`letters`: those that were chosen; `gone`: how many have left; `handled`: the ids that their service has handled.

    `group`: the group that they came from, whatever is in it by now.
    """

    id: str
    action: str
    group: str
    title: str
    by: str
    reason: str
    rate: float
    began: datetime
    cutoff: datetime
    letters: tuple[DeadLetter, ...]
    refused: tuple[tuple[DeadLetter, str], ...] = ()
    state: State = State.RUNNING
    gone: int = 0
    missing: int = 0
    unsent: Sequence[str] = ()
    why: str = ""
    ended: datetime | None = None
    handled: set[str] = field(default_factory=set)
    again: int = 0
    stopped_by: str = ""

    @property
    def is_redrive(self) -> bool:
        return self.action == REDRIVE

    @property
    def services(self) -> set[str]:
        return {letter.service for letter in self.letters}

    @property
    def waiting(self) -> int:
        """Chosen, and still where they were."""
        return max(0, len(self.letters) - self.gone - self.missing - len(self.unsent))

    @property
    def under_way(self) -> int:
        """Sent, and neither handled nor dead again: in their queue, or on the retry ladder."""
        return max(0, self.gone - len(self.handled) - self.again)

    @property
    def is_settled(self) -> bool:
        """Nothing about it can change any more."""
        return self.state is not State.RUNNING and (not self.is_redrive or not self.under_way)


class Runs:
    def __init__(self, broker: Broker, letters: Letters, addresses: Mapping[str, str], clock: Clock) -> None:
        self._broker, self._letters, self._addresses, self._clock = broker, letters, addresses, clock
        self._runs: dict[str, Run] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._turns: dict[str, asyncio.Lock] = {}
        self.on_progress: Callable[[], None] = lambda: None

    def of(self, id_: str) -> Run | None:
        return self._runs.get(id_)

    @property
    def latest(self) -> list[Run]:
        """The youngest first."""
        return list(reversed(self._runs.values()))

    def running(self, group: str) -> Run | None:
        return next((run for run in self.latest if run.group == group and run.state is State.RUNNING), None)

    def latest_of(self, group: str) -> Run | None:
        return next((run for run in self.latest if run.group == group), None)

    def begin(self, run: Run) -> Run:
        """Begin it; asked for once more, or while another of its group is running, the one that is there is meant."""
        if known := self.of(run.id) or self.running(run.group):
            return known
        self._runs[run.id] = run
        self._tasks[run.id] = asyncio.create_task(self._go(run), name=f"{run.action} {run.id}")
        self._forget_old()
        return run

    def stop(self, run: Run, by: str) -> None:
        """What has not left its queue stays there. One that is just in hand may have gone: its copy is known by id."""
        if task := self._tasks.get(run.id):
            run.stopped_by = by
            task.cancel()

    async def close(self) -> None:
        for task in self._tasks.values():
            task.cancel()
        await asyncio.gather(*self._tasks.values(), return_exceptions=True)

    async def _go(self, run: Run) -> None:
        turn = self._turns.setdefault(min(run.services), asyncio.Lock())
        act = Act(run.action, run.by, run.reason, rate=run.rate)
        try:
            async with turn:
                with self._letters.on_the_move(run.services):
                    done = await self._broker.settle(run.letters, act, lambda count: self._progress(run, count))
            run.gone, run.missing, run.unsent, run.state = done.settled, done.missing, done.unsent, State.DONE
        except InfrastructureUnavailable as away:
            run.state, run.why = State.BROKEN_OFF, f"{away.reason}; {away.remedy}"
        except asyncio.CancelledError:
            run.state = State.STOPPED
            raise
        except Exception as error:
            run.state, run.why = State.BROKEN_OFF, f"{type(error).__name__}; see the log of operations"
            telemetry.log.exception("a run broke off", run=run.id, action=run.action)
        finally:
            run.ended = self._clock()
            run.letters = tuple(letter.brief for letter in run.letters)
            run.refused = tuple((letter.brief, why) for letter, why in run.refused)
            self._tasks.pop(run.id, None)
            self.on_progress()

    def _progress(self, run: Run, count: int) -> None:
        run.gone = count
        self.on_progress()

    def _forget_old(self) -> None:
        ended = [id_ for id_, run in self._runs.items() if run.state is not State.RUNNING]
        for id_ in ended[: max(0, len(self._runs) - _RUNS_MAX)]:
            del self._runs[id_]

    async def follow_up(self, run: Run, http: httpx.AsyncClient) -> None:
        """What has become of those that were sent: by their services' own word, and by what lies in the dead queues."""
        if run.is_settled or not run.is_redrive:
            return
        if run.state is not State.RUNNING:
            look = await self._letters.look()
            run.again = again(run, look.letters or ())
        open_ = [letter for letter in run.letters if letter.id not in run.handled][:_ASKED_MAX]
        at_once = asyncio.Semaphore(_ASKED_AT_ONCE)
        answers = await asyncio.gather(*(self._has_handled(letter, http, at_once) for letter in open_))
        run.handled |= {letter.id for letter, handled in zip(open_, answers, strict=True) if handled}

    async def _has_handled(self, letter: DeadLetter, http: httpx.AsyncClient, at_once: asyncio.Semaphore) -> bool:
        url = f"{self._addresses[letter.service]}/journeys/{quote(letter.journey_id, safe='')}"
        async with at_once:
            try:
                answer = await http.get(url, timeout=_ANSWER_S_MAX)
            except httpx.HTTPError:
                return False
        return answer.is_success and letter.id in _handled_ids(answer)


def _handled_ids(answer: httpx.Response) -> set[str]:
    """None, if the answer is not a list of handled messages: the next look asks again."""
    try:
        return {step.message_id for step in _STEPS.validate_json(answer.content)}
    except ValidationError:
        return set()


def again(run: Run, letters: Iterable[DeadLetter]) -> int:
    """How many of those that were sent have died once more."""
    chosen = {(letter.service, letter.id) for letter in run.letters}
    return sum(
        (letter.service, letter.id) in chosen and letter.died_at is not None and letter.died_at > run.began
        for letter in letters
    )
