"""The HTTP side of a service: health, readiness, metrics, what it handled in a journey,
and its own read API.
"""

import contextlib
import math
import ssl
from collections.abc import Callable, Iterator, Mapping, Sequence
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import uvicorn
from fastapi import APIRouter, FastAPI, Query, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import AwareDatetime
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.routing import compile_path

from chassis.core.definition import Aggregate
from chassis.messaging.envelope import Envelope
from chassis.retention import KIND, Progress
from chassis.settings import Settings
from chassis.store.protocol import Handled, Loaded, StoreRefused, StoreUnavailable, WriteConflicts
from chassis.telemetry.instruments import DEFAULT_PREFIX
from chassis.tls import FollowingContext
from chassis.web.fault_api import fault_routes
from chassis.web.head_requests import HeadAsGet
from chassis.web.journey_history import (
    EmittedBody,
    EmittedMessage,
    HandledMessage,
    HandlingRecord,
    Kept,
    RecordedTimes,
)
from chassis.web.metrics_endpoint import metrics_response
from chassis.web.problems import (
    ALWAYS,
    MEDIA_TYPE,
    WRONG_FIELDS_MAX,
    Problem,
    error_message,
    problem_response,
    problem_responses,
    refused_headers,
    wrong_fields,
)
from chassis.web.request_headers import OneLineEach
from chassis.web.request_metrics import RequestMetrics
from chassis.web.server_spans import ServerSpans

if TYPE_CHECKING:
    from chassis.runtime import Runtime


Limit = Annotated[int, Query(ge=1, le=500, description="items on a page")]
_ABOUT_CHARS_MAX = 8_000
_ABOUT = "only these keys, separated by commas: each exact key, and `<key>:<anything>`; all on one page"
_TIMES = (
    "also when each message was sent and received, and when its effect ran; not by default, because the "
    "tools of earlier versions refuse fields that they do not know"
)
_CHANGED_SINCE = (
    "only those changed since, ordered by that time; for the next page, the last one's `changed_at`"
)


def create_app(runtime: "Runtime", routes: APIRouter | None) -> FastAPI:
    name = runtime.service.name
    switches = fault_routes(runtime.faults) if runtime.faults is not None else APIRouter()
    all_routes = flatten_routers(_stories(runtime), switches, routes or APIRouter()).routes
    middleware = [
        Middleware(RequestMetrics, name, "internal"),
        Middleware(OneLineEach, refused_headers),
        Middleware(ServerSpans, name),
        Middleware(HeadAsGet),
    ]
    app = FastAPI(
        title=name, docs_url=None, redoc_url=None, responses=ALWAYS, routes=all_routes, middleware=middleware
    )
    app.state.metric_prefix = DEFAULT_PREFIX

    @app.exception_handler(StoreUnavailable)
    async def store_unavailable(request: Request, error: Exception) -> Response:
        contended = isinstance(error, WriteConflicts)
        title = "Too many concurrent changes" if contended else "The database does not answer"
        return problem_response(503, title, f"{error}; try again", headers={"Retry-After": "2"})

    @app.exception_handler(StoreRefused)
    async def store_refuses(request: Request, error: Exception) -> Response:
        return problem_response(503, "The database refuses this", str(error), headers={"Retry-After": "60"})

    @app.exception_handler(RequestValidationError)
    async def not_valid(request: Request, error: RequestValidationError) -> Response:
        errors = wrong_fields(error.errors())
        body = Problem(title="Not valid", status=422, detail=_what_is_wrong(error), errors=errors)
        return JSONResponse(body.model_dump(), 422, media_type=MEDIA_TYPE)

    @app.exception_handler(HTTPException)
    async def refused(request: Request, error: HTTPException) -> Response:
        headers = dict(error.headers or {})
        if error.status_code == HTTPStatus.METHOD_NOT_ALLOWED and (methods := allowed_methods(request)):
            headers["Allow"] = methods
        return problem_response(
            error.status_code, HTTPStatus(error.status_code).phrase, error.detail, headers=headers
        )

    @app.get("/healthz", tags=["operations"])
    async def healthz() -> dict[str, str]:
        """Alive: the process runs and its event loop responds."""
        return {"service": name, "status": "alive"}

    @app.get("/readyz", tags=["operations"])
    async def readyz() -> Any:
        """Ready: the service is consuming."""
        if why := runtime.unready():
            return problem_response(503, "Not ready", why)
        return {"service": name, "status": "consuming"}

    @app.get("/metrics", tags=["operations"], response_class=Response)
    async def metrics(request: Request) -> Response:
        """Prometheus' text format, or OpenMetrics if the Accept header asks for it."""
        return metrics_response(request)

    return app


def flatten_routers(*routers: APIRouter) -> APIRouter:
    """Merge the routers' routes into one router.

    FastAPI rebuilds the routes of an included router for each enclosing router, and searches nested routers
    on every request.
    """
    return APIRouter(routes=[route for router in routers for route in router.routes])


def _stories(runtime: "Runtime") -> APIRouter:
    """What this service has handled, for people who investigate it."""
    router = APIRouter(tags=["operations"], responses=ALWAYS)
    name = runtime.service.name
    aggregates = runtime.service.aggregates
    store = runtime.store

    @router.get("/journeys/{journey_id}", response_model_exclude_unset=True)
    async def journey(
        journey_id: str, times: Annotated[bool, Query(description=_TIMES)] = False
    ) -> list[HandledMessage]:
        """Every message of a journey that this service handled, and what it emitted for it."""
        found = [
            _handled_message(name, loaded, handled, times=times)
            for kind in runtime.service.kinds
            for loaded, records in await store.journey(kind, journey_id)
            for handled in records
        ]
        return sorted(found, key=lambda message: message.at)

    @router.get("/handled/{kind}", responses=problem_responses(404))
    async def handled(
        kind: str,
        after: Annotated[str, Query(description="the last key of the previous page")] = "",
        limit: Limit = 100,
        is_open: Annotated[bool, Query(description="only those in an open status")] = False,
        changed_since: Annotated[AwareDatetime | None, Query(description=_CHANGED_SINCE)] = None,
        about: Annotated[str, Query(max_length=_ABOUT_CHARS_MAX, description=_ABOUT)] = "",
    ) -> list[HandlingRecord]:
        """A page of handling records, by key;
        only of aggregates that remember all that they have ever handled.
        """
        aggregate = next(
            (each for each in aggregates if each.kind == kind and each.handled_max is None), None
        )
        if aggregate is None:
            raise HTTPException(404, f"{name} has no {kind!r} that remember all handled messages")
        if about:
            found = await store.about(kind, about.split(","))
        elif changed_since is not None:
            found = await store.changed(kind, changed_since, after=after, limit=limit)
        else:
            where = {"status": aggregate.open_statuses} if is_open else None
            found = await store.find(kind, where, after=after, limit=limit)
        emitted = await store.emitted(kind, {loaded.key: loaded.handled for loaded in found})
        return [_handling_record(aggregate, loaded, emitted) for loaded in found]

    @router.get("/retention")
    async def retention() -> list[Kept]:
        """For each kind that expires: its rule, and the progress of comparing the documents with it."""
        kept = [aggregate for aggregate in aggregates if aggregate.ttl is not None]
        stored = await store.load(KIND, [aggregate.kind for aggregate in kept])
        found = [(aggregate, Progress.of(aggregate, stored[aggregate.kind].state)) for aggregate in kept]
        return [
            Kept.model_validate({"kind": aggregate.kind, **progress.rule, **progress.state()})
            for aggregate, progress in found
        ]

    return router


def _what_is_wrong(error: RequestValidationError) -> str:
    """Names the first wrong fields. The input is not repeated: it may be a password."""
    sentences = [f"{'.'.join(str(part) for part in e['loc'])}: {error_message(e)}" for e in error.errors()]
    return "; ".join(sentences[:WRONG_FIELDS_MAX])


def allowed_methods(request: Request) -> str:
    """The methods of all the API's routes with this path; FastAPI names only those of one route."""
    paths: dict[str, dict[str, Any]] = request.app.openapi()["paths"]
    matching = [methods for path, methods in paths.items() if compile_path(path)[0].match(request.url.path)]
    allowed = {method.upper() for methods in matching for method in methods}
    return ", ".join(sorted(allowed | ({"HEAD"} if "GET" in allowed else set())))


def _handled_message(service: str, loaded: Loaded, handled: Handled, *, times: bool) -> HandledMessage:
    before, after = handled.status
    message = HandledMessage(
        service=service,
        kind=loaded.kind,
        key=loaded.key,
        message_id=handled.message_id,
        type=handled.type,
        at=handled.at.isoformat(timespec="microseconds"),
        status_from=before,
        status_to=after,
        says=[EmittedBody.model_validate(envelope) for envelope in handled.emits],
    )
    if times:
        message.times = RecordedTimes.model_validate(handled.times)
    return message


def _handling_record(
    aggregate: Aggregate[Any], loaded: Loaded, emitted: Mapping[str, Sequence[Envelope]]
) -> HandlingRecord:
    status = str((loaded.state or {}).get("status", ""))
    return HandlingRecord(
        key=loaded.key,
        status=status,
        is_open=status in aggregate.open_statuses,
        deadline_at=loaded.deadline_at,
        changed_at=loaded.changed_at,
        handled=sorted(loaded.handled),
        said=[
            EmittedMessage.model_validate(envelope)
            for id_ in loaded.handled
            for envelope in emitted.get(id_, ())
        ],
    )


def _following(config: uvicorn.Config, build: Callable[[], ssl.SSLContext]) -> ssl.SSLContext:
    """The context of the server's certificate, which may be replaced while it runs."""
    files = [Path(file) for file in (config.ssl_certfile, config.ssl_keyfile) if file is not None]
    return FollowingContext(ssl.PROTOCOL_TLS_SERVER, build, files)


# What a request gets to finish even if the messages in flight have taken the whole drain.
FINISH_S = 3.0


class Server(uvicorn.Server):
    """uvicorn without its signal handlers: the runtime drains first."""

    def __init__(self, app: FastAPI, settings: Settings) -> None:
        app.state.metric_prefix = settings.metric_prefix
        super().__init__(
            uvicorn.Config(
                app,
                host=settings.http_host,
                port=settings.http_port,
                log_config=None,
                access_log=False,
                lifespan="off",
                proxy_headers=False,
                server_header=False,  # do not advertise the server software
                ssl_certfile=settings.tls_certificate_file,
                ssl_keyfile=settings.tls_key_file,
                ssl_context_factory=_following if settings.tls_certificate_file else None,
            )
        )

    def finish(self, within_s: float = FINISH_S) -> None:
        """Accept no more connections, and end when the requests in flight are answered, or after `within_s`.

        It is at least FINISH_S. Streams must end by themselves.
        """
        self.config.timeout_graceful_shutdown = math.ceil(max(FINISH_S, within_s))
        self.should_exit = True

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield
