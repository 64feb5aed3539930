"""The HTTP side of a service: health, readiness, metrics, what it did in a journey, and its own read API."""

import contextlib
from collections.abc import Iterator
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

import prometheus_client
import uvicorn
from fastapi import APIRouter, FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel
from starlette.exceptions import HTTPException

from chassis.settings import Settings
from chassis.store import Handled, Loaded, StoreUnavailable
from contracts.envelope import Envelope

if TYPE_CHECKING:
    from chassis.runtime import Runtime


_WRONG_FIELDS_MAX = 10


class Said(BaseModel):
    """A message that a service sent."""

    id: str
    type: str
    time: str
    subject: str
    body: str


class Step(BaseModel):
    """One message that a service handled in a journey: what it did to the status, and what was said about it."""

    service: str
    kind: str
    key: str
    message_id: str
    type: str
    at: str
    status_from: str
    status_to: str
    says: list[Said]


class Problem(BaseModel):
    """RFC 9457 problem details."""

    type: str = "about:blank"
    title: str
    status: int
    detail: str = ""


def problem(status: int, title: str, detail: str = "", **headers: str) -> JSONResponse:
    body = Problem(title=title, status=status, detail=detail).model_dump()
    return JSONResponse(body, status, headers=headers, media_type="application/problem+json")


def application(runtime: "Runtime", routes: APIRouter | None) -> FastAPI:
    name = runtime.service.name
    app = FastAPI(title=name, docs_url=None, redoc_url=None)

    @app.exception_handler(StoreUnavailable)
    async def store_away(request: Request, error: Exception) -> Response:
        return problem(503, "The database does not answer", "try again", **{"Retry-After": "2"})

    @app.exception_handler(RequestValidationError)
    async def not_valid(request: Request, error: RequestValidationError) -> Response:
        return problem(422, "Not valid", _what_is_wrong(error))

    @app.exception_handler(HTTPException)
    async def refused(request: Request, error: HTTPException) -> Response:
        return problem(error.status_code, HTTPStatus(error.status_code).phrase, error.detail, **(error.headers or {}))

    @app.get("/healthz", tags=["operations"])
    async def healthz() -> dict[str, str]:
        """Alive: the process runs and its loop turns."""
        return {"service": name, "status": "alive"}

    @app.get("/readyz", tags=["operations"], responses={503: {"model": Problem}})
    async def readyz() -> Any:
        """Ready: really consuming."""
        if why := runtime.unready():
            return problem(503, "Not ready", why)
        return {"service": name, "status": "consuming"}

    @app.get("/metrics", tags=["operations"], response_class=Response)
    async def metrics() -> Response:
        """Prometheus text format."""
        return Response(prometheus_client.generate_latest(), media_type=prometheus_client.CONTENT_TYPE_LATEST)

    @app.get("/journeys/{journey_id}", tags=["operations"], responses={503: {"model": Problem}})
    async def journey(journey_id: str) -> list[Step]:
        """Every message of a journey that this service handled, and what it said about it."""
        steps = [
            _step(name, loaded, handled)
            for kind in runtime.service.kinds
            for loaded, trail in await runtime.store.journey(kind, journey_id)
            for handled in trail
        ]
        return sorted(steps, key=lambda step: step.at)

    if routes is not None:
        app.include_router(routes)
    return app


def _what_is_wrong(error: RequestValidationError) -> str:
    """Names the first wrong fields. What was sent is not repeated: it may be a password."""
    sentences = [f"{'.'.join(str(part) for part in e['loc'])}: {e['msg']}" for e in error.errors()]
    return "; ".join(sentences[:_WRONG_FIELDS_MAX])


def _step(service: str, loaded: Loaded, handled: Handled) -> Step:
    return Step(
        service=service,
        kind=loaded.kind,
        key=loaded.key,
        message_id=handled.message_id,
        type=handled.type,
        at=handled.at.isoformat(timespec="microseconds"),
        status_from=handled.status[0],
        status_to=handled.status[1],
        says=[_said(envelope) for envelope in handled.says],
    )


def _said(envelope: Envelope) -> Said:
    return Said(
        id=envelope.id,
        type=envelope.type,
        time=envelope.time,
        subject=envelope.subject,
        body=envelope.body.decode(),
    )


class Server(uvicorn.Server):
    """uvicorn, without its signal handlers: the runtime drains first."""

    def __init__(self, app: FastAPI, settings: Settings) -> None:
        super().__init__(
            uvicorn.Config(
                app,
                host=settings.http_host,
                port=settings.http_port,
                log_config=None,
                access_log=False,
                lifespan="off",
                timeout_graceful_shutdown=3,
            )
        )

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield
