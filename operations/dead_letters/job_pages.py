"""The page of one redrive or drop: its progress and its outcome."""

from fastapi import APIRouter, Request, Response
from starlette.exceptions import HTTPException
from starlette.responses import RedirectResponse

from operations.dead_letters.jobs import RedriveJob
from operations.dependencies import OperationsDependencies, current_user_id
from operations.web.templating import PageRenderer


def routes(deps: OperationsDependencies, renderer: PageRenderer) -> APIRouter:
    router = APIRouter()

    def require_job(id_: str) -> RedriveJob:
        job = deps.jobs.of(id_)
        if job is None:
            raise HTTPException(
                404,
                "This redrive is unknown: operations was restarted since."
                " No dead letter is lost. The audit list shows which were sent; the others are still in "
                "their queue.",
            )
        return job

    @router.get("/ops/redrives/{run_id}")
    async def one(request: Request, run_id: str) -> Response:
        job = require_job(run_id)
        await deps.jobs.follow_up(job, deps.http)
        stream = "" if job.is_settled else f"/ops/events?run={job.id}"
        return renderer.render_page(request, "run.html", job=job, stream=stream)

    @router.post("/ops/redrives/{run_id}/cancellation")
    async def stop(request: Request, run_id: str) -> Response:
        job = require_job(run_id)
        deps.jobs.stop(job, str(current_user_id(request)))
        return RedirectResponse(f"/ops/redrives/{job.id}", 303)

    return router
