"""Redrive and drop jobs: their dead letters, who started them, their progress and their outcome.

One job per service runs at a time, so that no two compete for a dead letter. The audit log holds every action
as well. The jobs themselves are kept in memory only: after a restart the remaining dead letters are still in
their queue.
"""

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from urllib.parse import quote

import httpx
from pydantic import BaseModel, TypeAdapter, ValidationError

from chassis import telemetry
from chassis.cancellation import cancel
from chassis.clock import Clock
from journey.admin.dead_letters.dead_letter import DeadLetter
from journey.admin.dead_letters.redrive import REDRIVE, DeadLetterAction
from journey.admin.infrastructure_unavailable import InfrastructureUnavailable
from operations.broker import Broker
from operations.dead_letters.cache import DeadLetterCache

_JOBS_MAX = 200
_ASKED_AT_ONCE, _ASKED_MAX = 8, 200
_RESPONSE_S_MAX = 2.0
_FOLLOW_UP_S_MAX = 2.0


class _HandledMessage(BaseModel):
    """What this page needs of a handled message."""

    message_id: str


_HANDLED_MESSAGES = TypeAdapter(list[_HandledMessage])


class JobState(StrEnum):
    RUNNING = "running"
    DONE = "done"
    STOPPED = "stopped"
    BROKEN_OFF = "broken off"


@dataclass
class RedriveJob:
    """`dead_letters`: those that were selected; `gone`: how many have left; `handled`:
    the ids that the service has handled.

    `group`: the group that they were selected from; its contents may have changed since.
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
    dead_letters: tuple[DeadLetter, ...]
    refused: tuple[tuple[DeadLetter, str], ...] = ()
    state: JobState = JobState.RUNNING
    processed: int = 0
    missing: int = 0
    unsent: Sequence[str] = ()
    why: str = ""
    ended: datetime | None = None
    handled: set[str] = field(default_factory=set)
    failed_again: int = 0
    stopped_by: str = ""

    @property
    def is_redrive(self) -> bool:
        return self.action == REDRIVE

    @property
    def services(self) -> set[str]:
        return {dead_letter.service for dead_letter in self.dead_letters}

    @property
    def remaining(self) -> int:
        """Selected, and still in their queue."""
        return max(0, len(self.dead_letters) - self.processed - self.missing - len(self.unsent))

    @property
    def under_way(self) -> int:
        """Sent, and neither handled nor dead-lettered again: in their queue, or on the retry ladder."""
        return max(0, self.processed - len(self.handled) - self.failed_again)

    @property
    def is_settled(self) -> bool:
        """Whether nothing about the job can change any more."""
        return self.state is not JobState.RUNNING and (not self.is_redrive or not self.under_way)


class RedriveJobs:
    def __init__(
        self, broker: Broker, dead_letters: DeadLetterCache, addresses: Mapping[str, str], clock: Clock
    ) -> None:
        self._broker = broker
        self._dead_letters = dead_letters
        self._addresses = addresses
        self._clock = clock
        self._jobs: dict[str, RedriveJob] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._service_locks: dict[str, asyncio.Lock] = {}
        self.on_progress: Callable[[], None] = lambda: None

    def of(self, id_: str) -> RedriveJob | None:
        return self._jobs.get(id_)

    @property
    def latest(self) -> list[RedriveJob]:
        """The newest first."""
        return list(reversed(self._jobs.values()))

    def running(self, group: str) -> RedriveJob | None:
        return next(
            (job for job in self.latest if job.group == group and job.state is JobState.RUNNING), None
        )

    def latest_of(self, group: str) -> RedriveJob | None:
        return next((job for job in self.latest if job.group == group), None)

    def start(self, job: RedriveJob) -> RedriveJob:
        """Start the job. Returns the existing one if it was started before, or a running job of its group."""
        if existing := self.of(job.id) or self.running(job.group):
            return existing
        self._jobs[job.id] = job
        self._tasks[job.id] = asyncio.create_task(self._execute(job), name=f"{job.action} {job.id}")
        self._discard_old()
        return job

    def stop(self, job: RedriveJob, by: str) -> None:
        """Stop the job; the rest stays in its queue.

        One in flight may still leave; copies are recognised by id.
        """
        if task := self._tasks.get(job.id):
            job.stopped_by = by
            task.cancel()

    async def close(self) -> None:
        await cancel(self._tasks.values())

    async def _execute(self, job: RedriveJob) -> None:
        service_lock = self._service_locks.setdefault(min(job.services), asyncio.Lock())
        act = DeadLetterAction(job.action, job.by, job.reason, rate=job.rate)
        try:
            async with service_lock:
                with self._dead_letters.suspended(job.services):
                    done = await self._broker.redrive_or_drop(
                        job.dead_letters, act, lambda count: self._progress(job, count)
                    )
            job.processed = done.settled
            job.missing = done.missing
            job.unsent = done.unsent
            job.state = JobState.DONE
        except InfrastructureUnavailable as away:
            job.state = JobState.BROKEN_OFF
            job.why = f"{away.reason}; {away.remedy}"
        except asyncio.CancelledError:
            job.state = JobState.STOPPED
            raise
        except Exception as error:
            job.state = JobState.BROKEN_OFF
            job.why = f"{type(error).__name__}; see the log of operations"
            telemetry.log.exception("a job was aborted", run=job.id, action=job.action)
        finally:
            job.ended = self._clock()
            job.dead_letters = tuple(dead_letter.brief for dead_letter in job.dead_letters)
            job.refused = tuple((dead_letter.brief, why) for dead_letter, why in job.refused)
            self._tasks.pop(job.id, None)
            self.on_progress()

    def _progress(self, job: RedriveJob, count: int) -> None:
        job.processed = count
        self.on_progress()

    def _discard_old(self) -> None:
        ended = [id_ for id_, job in self._jobs.items() if job.state is not JobState.RUNNING]
        for id_ in ended[: max(0, len(self._jobs) - _JOBS_MAX)]:
            del self._jobs[id_]

    async def follow_up_all(self, jobs: Iterable[RedriveJob], http: httpx.AsyncClient) -> None:
        """Update several jobs, for a list of them.

        A service that responds slowly does not hold the list up: what it has handled counts as under way.
        """
        with suppress(TimeoutError):
            async with asyncio.timeout(_FOLLOW_UP_S_MAX):
                await asyncio.gather(*(self.follow_up(job, http) for job in jobs))

    async def follow_up(self, job: RedriveJob, http: httpx.AsyncClient) -> None:
        """Update what became of the sent ones,
        from the services' handled messages and the dead-letter queues.
        """
        if job.is_settled or not job.is_redrive:
            return
        if job.state is not JobState.RUNNING:
            snapshot = await self._dead_letters.snapshot()
            job.failed_again = failed_again(job, snapshot.dead_letters or ())
        open_ = [dead_letter for dead_letter in job.dead_letters if dead_letter.id not in job.handled][
            :_ASKED_MAX
        ]
        at_once = asyncio.Semaphore(_ASKED_AT_ONCE)

        async def ask(dead_letter: DeadLetter) -> None:
            async with at_once:
                if await self._has_handled(dead_letter, http):
                    job.handled.add(dead_letter.id)

        await asyncio.gather(*map(ask, open_))

    async def _has_handled(self, dead_letter: DeadLetter, http: httpx.AsyncClient) -> bool:
        url = f"{self._addresses[dead_letter.service]}/journeys/{quote(dead_letter.journey_id, safe='')}"
        try:
            response = await http.get(url, timeout=_RESPONSE_S_MAX)
        except httpx.HTTPError:
            return False
        return response.is_success and dead_letter.id in _handled_ids(response)


def _handled_ids(response: httpx.Response) -> set[str]:
    """Empty if the response is not a list of handled messages; the next call asks again."""
    try:
        return {message.message_id for message in _HANDLED_MESSAGES.validate_json(response.content)}
    except ValidationError:
        return set()


def failed_again(job: RedriveJob, dead_letters: Iterable[DeadLetter]) -> int:
    """How many of the sent messages were dead-lettered again."""
    chosen = {(dead_letter.service, dead_letter.id) for dead_letter in job.dead_letters}
    return sum(
        (dead_letter.service, dead_letter.id) in chosen
        and dead_letter.died_at is not None
        and dead_letter.died_at > job.began
        for dead_letter in dead_letters
    )
