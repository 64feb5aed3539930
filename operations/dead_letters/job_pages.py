"""The page of one redrive or drop: its progress and its outcome."""

from collections.abc import Iterable

from fastapi import Request, Response
from fastapi.routing import APIRoute
from starlette.exceptions import HTTPException
from starlette.responses import RedirectResponse

from operations.access import current_user_id
from operations.dead_letters.jobs import RedriveJob, RedriveJobs
from operations.web.staff_pages import PageTools, StaffPages, get, post


class JobPages(StaffPages):
    def __init__(self, tools: PageTools, *, jobs: RedriveJobs) -> None:
        super().__init__(tools)
        self._jobs = jobs

    def routes(self) -> Iterable[APIRoute]:
        return get("/ops/redrives/{run_id}", self.one), post("/ops/redrives/{run_id}/cancellation", self.stop)

    async def one(self, request: Request, run_id: str) -> Response:
        job = self._job(run_id)
        await self._jobs.follow_up(job, self._tools.http)
        stream = "" if job.is_settled else f"/ops/events?run={job.id}"
        return self._render(request, "run.html", job=job, stream=stream)

    async def stop(self, request: Request, run_id: str) -> Response:
        job = self._job(run_id)
        self._jobs.stop(job, str(current_user_id(request)))
        return RedirectResponse(f"/ops/redrives/{job.id}", 303)

    def _job(self, id_: str) -> RedriveJob:
        job = self._jobs.of(id_)
        if job is None:
            raise HTTPException(
                404,
                "This redrive is unknown: operations was restarted since. No dead letter is lost. The audit "
                "list shows which were sent; the others are still in their queue.",
            )
        return job
