"""The HTTP side of operations. Only the gateway is to reach it; who asks is checked here all the same."""

from http import HTTPStatus
from typing import Any

import prometheus_client
from fastapi import Depends, FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.staticfiles import StaticFiles

from chassis.head_requests import HeadAsGet
from chassis.http import joined, problem, refused_headers
from chassis.request_headers import OneLineEach
from gateway.upstream import Away
from journey.infra.model import InfrastructureUnavailable
from operations import catalogue_pages, letter_pages, order_pages, people_pages, run_pages, stock_pages, system_pages
from operations.desk import Desk
from operations.showing import HERE, Showing


def application(desk: Desk) -> FastAPI:
    unambiguous, head = Middleware(OneLineEach, refused_headers), Middleware(HeadAsGet)
    app = FastAPI(title="operations", docs_url=None, redoc_url=None, openapi_url=None, middleware=[unambiguous, head])
    showing = Showing(desk)

    _refusals(app, showing)

    @app.get("/healthz")
    async def healthz() -> dict[str, str]:
        return {"service": "operations", "status": "alive"}

    @app.get("/readyz")
    async def readyz() -> Any:
        """Ready also while the broker and all services are away: then it is needed most."""
        if why := desk.unready():
            return problem(503, "Not ready", why)
        return {"service": "operations", "status": "watching"}

    @app.get("/metrics")
    async def metrics() -> Response:
        return Response(prometheus_client.generate_latest(), media_type=prometheus_client.CONTENT_TYPE_LATEST)

    app.mount("/ops/static", StaticFiles(directory=HERE / "static"))
    modules = (system_pages, letter_pages, run_pages, order_pages, stock_pages, catalogue_pages, people_pages)
    pages = joined(*(module.routes(desk, showing) for module in modules))

    @pages.get("/ops/{path:path}")
    async def nothing(path: str) -> Response:
        raise HTTPException(404, "There is no such page here; the navigation leads to those that there are.")

    app.include_router(pages, dependencies=[Depends(desk.staff)])
    return app


def _refusals(app: FastAPI, showing: Showing) -> None:
    """What the pages say when something cannot be."""

    @app.exception_handler(HTTPException)
    async def refused(request: Request, error: HTTPException) -> Response:
        """For the staff a page; for everybody else the same answer, whatever they asked for."""
        headers = {name: value for name, value in (error.headers or {}).items() if name != "Allow"}
        if not hasattr(request.state, "token"):
            status = 503 if error.status_code == 503 else 404
            return problem(status, HTTPStatus(status).phrase, **headers)
        title = HTTPStatus(error.status_code).phrase
        detail = "" if error.detail == title else error.detail
        answer = showing.page(request, "refused.html", error.status_code, title=title, detail=detail)
        answer.headers.update(headers)
        return answer

    @app.exception_handler(RequestValidationError)
    async def misspelt(request: Request, error: RequestValidationError) -> Response:
        detail = "This address cannot lead anywhere: a part of it is not what it should be. Follow a link, or search."
        return showing.page(request, "refused.html", 404, title="Not Found", detail=detail)

    @app.exception_handler(Away)
    async def away(request: Request, error: Away) -> Response:
        undone = "" if request.method == "GET" else " Nothing was changed."
        detail = f"{error.name} does not answer.{undone} Try again in {error.retry_after_s} s."
        answer = showing.page(request, "refused.html", 503, title="A service is away", detail=detail)
        answer.headers["Retry-After"] = str(error.retry_after_s)
        return answer

    @app.exception_handler(InfrastructureUnavailable)
    async def broker_away(request: Request, error: InfrastructureUnavailable) -> Response:
        detail = f"{error.reason}. {error.remedy}."
        return showing.page(request, "refused.html", 503, title="The broker is away", detail=detail)
