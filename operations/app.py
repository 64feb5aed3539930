"""The FastAPI application of operations.

Only the gateway reaches it, but it authenticates each request itself.
"""

from http import HTTPStatus
from typing import Any

from fastapi import Depends, FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.staticfiles import StaticFiles

from chassis.telemetry.instruments import DEFAULT_PREFIX
from chassis.web.app import flatten_routers
from chassis.web.head_requests import HeadAsGet
from chassis.web.http_client import UpstreamUnavailable
from chassis.web.metrics_endpoint import metrics_response
from chassis.web.problems import problem_response, refused_headers
from chassis.web.request_headers import OneLineEach
from chassis.web.request_metrics import RequestMetrics
from journey.admin.infrastructure_unavailable import InfrastructureUnavailable
from operations.catalogue.pages import CataloguePages
from operations.dead_letters.job_pages import JobPages
from operations.dead_letters.pages import DeadLetterPages
from operations.dependencies import OperationsDependencies
from operations.monitoring.fault_pages import FaultPages
from operations.monitoring.pages import MapPages
from operations.orders.attention_pages import AttentionPages
from operations.orders.customer_pages import CustomerPages
from operations.orders.list_pages import OrderListPages
from operations.orders.pages import OrderPages
from operations.staff.pages import RolePages
from operations.stock.correction_pages import CorrectionPages
from operations.stock.pages import StockPages
from operations.web.staff_pages import StaffPages
from operations.web.templating import HERE, PageRenderer


def create_app(deps: OperationsDependencies) -> FastAPI:
    middleware = [
        Middleware(RequestMetrics, "operations", "public"),
        Middleware(OneLineEach, refused_headers),
        Middleware(HeadAsGet),
    ]
    app = FastAPI(title="operations", docs_url=None, redoc_url=None, openapi_url=None, middleware=middleware)
    app.state.metric_prefix = DEFAULT_PREFIX
    _register_error_handlers(app, deps.renderer)

    @app.get("/healthz")
    async def healthz() -> dict[str, str]:
        return {"service": "operations", "status": "alive"}

    @app.get("/readyz")
    async def readyz() -> Any:
        """Ready even if the broker and all services are down, because the pages are needed most then."""
        if why := deps.unready():
            return problem_response(503, "Not ready", why)
        return {"service": "operations", "status": "watching"}

    @app.get("/metrics")
    async def metrics(request: Request) -> Response:
        return metrics_response(request)

    app.mount("/ops/static", StaticFiles(directory=HERE / "static"))
    pages = flatten_routers(*(each.router() for each in all_pages(deps)))

    @pages.get("/ops/{path:path}")
    async def nothing(path: str) -> Response:
        raise HTTPException(404, "This page does not exist. Use the navigation to find another page.")

    app.include_router(pages, dependencies=[Depends(deps.access.authenticate)])
    return app


def all_pages(deps: OperationsDependencies) -> tuple[StaffPages, ...]:
    return (
        MapPages(
            deps.tools,
            poller=deps.poller,
            history=deps.history,
            faults=deps.faults,
            jobs=deps.jobs,
            access=deps.access,
            stopping=deps.stopping,
        ),
        DeadLetterPages(deps.tools, dead_letters=deps.dead_letters, jobs=deps.jobs),
        JobPages(deps.tools, jobs=deps.jobs),
        OrderListPages(deps.tools),
        CustomerPages(deps.tools),
        OrderPages(deps.tools, stuck_orders=deps.stuck_orders, deliveries=deps.deliveries),
        AttentionPages(deps.tools),
        StockPages(deps.tools, deliveries=deps.deliveries),
        CorrectionPages(deps.tools),
        CataloguePages(deps.tools),
        RolePages(deps.tools),
        *((FaultPages(deps.tools, panel=deps.faults),) if deps.faults is not None else ()),
    )


def _register_error_handlers(app: FastAPI, renderer: PageRenderer) -> None:
    """Registers the error pages."""

    @app.exception_handler(HTTPException)
    async def refused(request: Request, error: HTTPException) -> Response:
        """Renders a page for the staff; without a staff token all paths return the same response."""
        headers = {name: value for name, value in (error.headers or {}).items() if name != "Allow"}
        if not hasattr(request.state, "token"):
            status = 503 if error.status_code == 503 else 404
            return problem_response(status, HTTPStatus(status).phrase, headers=headers)
        title = HTTPStatus(error.status_code).phrase
        detail = "" if error.detail == title else error.detail
        response = renderer.render_page(
            request, "refused.html", error.status_code, title=title, detail=detail
        )
        response.headers.update(headers)
        return response

    @app.exception_handler(RequestValidationError)
    async def misspelt(request: Request, error: RequestValidationError) -> Response:
        detail = "This URL is not valid. Follow a link, or search."
        return renderer.render_page(request, "refused.html", 404, title="Not Found", detail=detail)

    @app.exception_handler(UpstreamUnavailable)
    async def away(request: Request, error: UpstreamUnavailable) -> Response:
        undone = "" if request.method == "GET" else " Nothing was changed."
        detail = f"{error.name} does not respond.{undone} Try again in {error.retry_after_s} s."
        response = renderer.render_page(
            request, "refused.html", 503, title="A service is unavailable", detail=detail
        )
        response.headers["Retry-After"] = str(error.retry_after_s)
        return response

    @app.exception_handler(InfrastructureUnavailable)
    async def broker_away(request: Request, error: InfrastructureUnavailable) -> Response:
        detail = f"{error.reason}. {error.remedy}."
        return renderer.render_page(
            request, "refused.html", 503, title="The broker is unavailable", detail=detail
        )
