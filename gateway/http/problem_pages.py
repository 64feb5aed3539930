"""The pages that the `type` of a problem links to. They state the problem's meaning and remedy."""

from fastapi import APIRouter, Request, Response
from starlette.responses import HTMLResponse

from gateway.http.problems import PROBLEM_TYPES, ProblemError
from gateway.web.templating import TEMPLATES, base_context


def routes() -> APIRouter:
    router = APIRouter(prefix="/problems", include_in_schema=False)

    def page(request: Request, names: list[str]) -> Response:
        problem_types = {name: PROBLEM_TYPES[name] for name in names}
        html = TEMPLATES.get_template("problems.html").render(
            **base_context(request, None, None), problem_types=problem_types
        )
        return HTMLResponse(html, headers={"Cache-Control": "private, no-cache"})

    @router.get("")
    async def every_kind(request: Request) -> Response:
        return page(request, sorted(PROBLEM_TYPES))

    @router.get("/{name}")
    async def one_kind(request: Request, name: str) -> Response:
        if name not in PROBLEM_TYPES:
            raise ProblemError("not-found", "there is no problem type of this name")
        return page(request, [name])

    return router
