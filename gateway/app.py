"""The public FastAPI application: all routes, the middleware around them, and the error handlers."""

from pathlib import Path

from fastapi import APIRouter, FastAPI
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.staticfiles import StaticFiles

from chassis.web.app import flatten_routers
from chassis.web.head_requests import HeadAsGet
from gateway.about import pages as about_pages
from gateway.accounts import account_pages, login_pages, registration_pages, reset_pages
from gateway.accounts import api as account_api
from gateway.basket import api as basket_api
from gateway.basket import pages as basket_pages
from gateway.catalogue import api as catalogue_api
from gateway.catalogue import pages as catalogue_pages
from gateway.dependencies import GatewayDependencies
from gateway.export import api as export_api
from gateway.export import pages as export_pages
from gateway.http import problem_pages, proxy
from gateway.http.error_handlers import problem_response, register_error_handlers
from gateway.http.middleware import EdgeMiddleware
from gateway.live import api as live_api
from gateway.live import pages as live_pages
from gateway.orders import api as order_api
from gateway.orders import checkout_pages
from gateway.orders import pages as order_pages

_STATIC = Path(__file__).parent / "web" / "static"
_REQUEST_HEADERS = [
    "Authorization",
    "Content-Type",
    "Idempotency-Key",
    "If-Match",
    "If-None-Match",
    "Last-Event-ID",
    "Prefer",
]
_RESPONSE_HEADERS = [
    "ETag",
    "Idempotent-Replayed",
    "Link",
    "Location",
    "RateLimit",
    "RateLimit-Policy",
    "Retry-After",
    "X-Request-Id",
]
_DESCRIPTION = """
The HTTP API of the shop.

* Log in at `POST /api/v1/sessions` and send the access token as `Authorization: Bearer`.
* Commands on orders return 202 as soon as the message broker has confirmed them. Retries with the same
  `Idempotency-Key` are safe.
* Errors are problem details (RFC 9457). Their `type` links to a page that states meaning and remedy.
* Any request may get a 429 or 503 with `Retry-After`: wait for that time, and retry the same request.
"""


def create_app(deps: GatewayDependencies) -> FastAPI:
    app = FastAPI(
        title="Order Journey",
        version="1",
        description=_DESCRIPTION,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        middleware=[
            Middleware(EdgeMiddleware, deps.settings, deps.cookies, problem_response),
            *_cors(deps),
            Middleware(HeadAsGet),
        ],
        routes=flatten_routers(
            *_api_routers(deps), proxy.routes(deps), problem_pages.routes(), *_page_routers(deps)
        ).routes,
    )
    register_error_handlers(app)
    app.mount("/static", StaticFiles(directory=_STATIC), name="static")
    return app


def _api_routers(deps: GatewayDependencies) -> list[APIRouter]:
    return [
        order_api.routes(deps),
        account_api.routes(deps),
        export_api.routes(deps),
        live_api.routes(deps),
        catalogue_api.routes(deps),
        basket_api.routes(deps),
    ]


def _page_routers(deps: GatewayDependencies) -> list[APIRouter]:
    return [
        catalogue_pages.routes(deps),
        about_pages.routes(deps),
        basket_pages.routes(deps),
        checkout_pages.routes(deps),
        login_pages.routes(deps),
        registration_pages.routes(deps),
        reset_pages.routes(deps),
        account_pages.routes(deps),
        export_pages.routes(deps),
        order_pages.routes(deps),
        live_pages.routes(deps),
        catalogue_pages.image_routes(deps),
    ]


def _cors(deps: GatewayDependencies) -> list[Middleware]:
    """CORS for the configured origins; none by default. Cross-origin requests never carry cookies."""
    origins = deps.settings.cors_origins
    if not origins:
        return []
    methods = ["GET", "POST", "PUT", "DELETE"]
    return [
        Middleware(
            CORSMiddleware,
            allow_origins=origins,
            allow_methods=methods,
            allow_headers=_REQUEST_HEADERS,
            expose_headers=_RESPONSE_HEADERS,
        )
    ]
