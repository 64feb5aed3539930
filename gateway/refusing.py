"""Whatever goes wrong on the way to an answer, told in one form: problem details for programs, a page for people."""

from collections.abc import Mapping
from typing import Any

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from chassis.http import allowed_methods
from chassis.store import StoreUnavailable
from contracts.problem import MEDIA_TYPE, wrong_fields
from gateway.limits import QUOTA_EXCEEDED, TooMany
from gateway.orders import NotTaken
from gateway.problems import REDUCED_CAPACITY, Refusal, named, of_status, wants_page
from gateway.upstream import Away
from gateway.web.showing import error_page

_STORE_AWAY_S = 2
_KEY = ("header", "idempotency-key")


def refuse(request: Request, refusal: Refusal, **more: Any) -> Response:
    """`more`: members that this type of problem has besides the usual ones (RFC 9457, section 3.2)."""
    said = refusal.problem
    if wants_page(request):
        page = error_page(request, said.status, said.title, said.detail, said.instance)
        page.headers.update(refusal.headers or {})
        return page
    return JSONResponse(said.model_dump() | more, said.status, headers=refusal.headers, media_type=MEDIA_TYPE)


def install(app: FastAPI) -> None:
    """An answer for each exception that a route may let out."""
    _for_what_was_asked(app)
    _for_what_is_away(app)


def _for_what_was_asked(app: FastAPI) -> None:
    @app.exception_handler(HTTPException)
    async def refused(request: Request, error: HTTPException) -> Response:
        if not isinstance(error, Refusal):
            kept = dict(error.headers or {})
            if error.status_code == 405 and (methods := allowed_methods(request)):
                kept["Allow"] = methods
            error = Refusal(problem=of_status(error.status_code), headers=kept)
        return refuse(request, error)

    @app.exception_handler(RequestValidationError)
    async def not_valid(request: Request, error: RequestValidationError) -> Response:
        if any(tuple(str(step).lower() for step in each["loc"]) == _KEY for each in error.errors()):
            return refuse(request, Refusal("key-missing"))
        if any(each["type"] == "json_invalid" for each in error.errors()):
            return refuse(request, Refusal("malformed"))
        return refuse(request, Refusal("not-valid", errors=wrong_fields(error.errors())))

    @app.exception_handler(TooMany)
    async def too_many(request: Request, error: TooMany) -> Response:
        refusal = Refusal(
            problem=named("too-many", f"{error}: wait {error.retry_after_s} s", type=QUOTA_EXCEEDED),
            headers=_again_in(error.retry_after_s),
        )
        return refuse(request, refusal, **{"violated-policies": [error.policy.name]})


def _for_what_is_away(app: FastAPI) -> None:
    @app.exception_handler(Away)
    async def away(request: Request, error: Away) -> Response:
        return refuse(request, Refusal("away", f"{error}; try again", headers=_again_in(error.retry_after_s)))

    @app.exception_handler(NotTaken)
    async def not_taken(request: Request, error: NotTaken) -> Response:
        worded = named("not-taken", type=REDUCED_CAPACITY)
        return refuse(request, Refusal(problem=worded, headers=_again_in(error.retry_after_s)))

    @app.exception_handler(StoreUnavailable)
    async def store_away(request: Request, error: StoreUnavailable) -> Response:
        return refuse(
            request, Refusal("away", "the gateway's database does not answer", headers=_again_in(_STORE_AWAY_S))
        )


def _again_in(seconds: int) -> Mapping[str, str]:
    return {"Retry-After": str(seconds)}
