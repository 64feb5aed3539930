"""What the `type` of a problem leads to: what it means, and what to do."""

from fastapi import APIRouter, Request, Response
from starlette.responses import HTMLResponse

from gateway.problems import PROBLEMS, Refusal
from gateway.web.showing import TEMPLATES, frame


def routes() -> APIRouter:
    router = APIRouter(prefix="/problems", include_in_schema=False)

    def page(request: Request, names: list[str]) -> Response:
        kinds = {name: PROBLEMS[name] for name in names}
        html = TEMPLATES.get_template("problems.html").render(**frame(request, None, None), kinds=kinds)
        return HTMLResponse(html, headers={"Cache-Control": "private, no-cache"})

    @router.get("")
    async def every_kind(request: Request) -> Response:
        return page(request, sorted(PROBLEMS))

    @router.get("/{name}")
    async def one_kind(request: Request, name: str) -> Response:
        if name not in PROBLEMS:
            raise Refusal("not-found", "there is no such problem here")
        return page(request, [name])

    return router
