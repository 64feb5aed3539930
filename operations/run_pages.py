"""One redrive or drop: how far it is, and what became of the letters."""

from fastapi import APIRouter, Request, Response
from starlette.exceptions import HTTPException
from starlette.responses import RedirectResponse

from operations.desk import Desk, who
from operations.runs import Run
from operations.showing import Showing


def routes(desk: Desk, showing: Showing) -> APIRouter:
    router = APIRouter()

    def known(id_: str) -> Run:
        run = desk.runs.of(id_)
        if run is None:
            raise HTTPException(
                404,
                "Nothing is known here of this redrive: operations was started anew since."
                " No letter is lost; the audit list tells which were sent, the others are where they were.",
            )
        return run

    @router.get("/ops/redrives/{run_id}")
    async def one(request: Request, run_id: str) -> Response:
        run = known(run_id)
        await desk.runs.follow_up(run, desk.http)
        stream = "" if run.is_settled else f"/ops/events?run={run.id}"
        return showing.page(request, "run.html", run=run, stream=stream)

    @router.post("/ops/redrives/{run_id}/cancellation")
    async def stop(request: Request, run_id: str) -> Response:
        run = known(run_id)
        desk.runs.stop(run, str(who(request)))
        return RedirectResponse(f"/ops/redrives/{run.id}", 303)

    return router
