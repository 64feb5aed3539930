"""The public door: every route that people and programs find, and what all of them have in common."""

from pathlib import Path

from fastapi import FastAPI
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.staticfiles import StaticFiles

from chassis.head_requests import HeadAsGet
from chassis.http import joined
from gateway import account_api, basket_api, catalogue_api, forward, live_api, order_api, problem_pages, web
from gateway.house import House
from gateway.refusing import install, refuse
from gateway.threshold import Threshold
from gateway.web import shop_pages

_STATIC = Path(__file__).parent / "web" / "static"
_SENT = ["Authorization", "Content-Type", "Idempotency-Key", "If-Match", "If-None-Match", "Last-Event-ID", "Prefer"]
_SHOWN = [
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
* What changes something about orders is answered with 202 once it is safely on its way; repeat it with the same
  `Idempotency-Key` as often as you like.
* Errors are problem details (RFC 9457); the `type` leads to a page that says what to do.
* Every answer may be 429 or 503 with `Retry-After`: wait that long and send the same again.
"""


def door(house: House) -> FastAPI:
    apis = (order_api, account_api, live_api, catalogue_api, basket_api)
    app = FastAPI(
        title="Order Journey",
        version="1",
        description=_DESCRIPTION,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        middleware=[Middleware(Threshold, house.settings, house.cookies, refuse), *_cors(house), Middleware(HeadAsGet)],
        routes=joined(
            *(api.routes(house) for api in apis),
            forward.routes(house),
            problem_pages.routes(),
            web.routes(house),
            shop_pages.pictures(house),
        ).routes,
    )
    install(app)
    app.mount("/static", StaticFiles(directory=_STATIC), name="static")
    return app


def _cors(house: House) -> list[Middleware]:
    """By default pages of other origins may not use the API at all. With cookies they never may."""
    origins = house.settings.cors_origins
    if not origins:
        return []
    methods = ["GET", "POST", "PUT", "DELETE"]
    return [
        Middleware(
            CORSMiddleware, allow_origins=origins, allow_methods=methods, allow_headers=_SENT, expose_headers=_SHOWN
        )
    ]
