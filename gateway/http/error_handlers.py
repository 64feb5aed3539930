"""Maps exceptions to HTTP responses: problem details (RFC 9457) for API clients,
an error page for browsers.
"""

from collections.abc import Mapping

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from chassis.store.protocol import StoreUnavailable, WriteConflicts
from chassis.web.app import allowed_methods
from chassis.web.http_client import UpstreamUnavailable
from chassis.web.problems import MEDIA_TYPE, wrong_fields
from gateway.http.problems import ProblemError, prefers_html, problem_for_status
from gateway.web.templating import LoginRequired, error_page, redirect_to_login

_STORE_RETRY_S = 2
_STORE_AWAY = "the gateway's database is unavailable"
_KEY = ("header", "idempotency-key")


def problem_response(request: Request, problem_error: ProblemError) -> Response:
    problem = problem_error.problem
    if prefers_html(request):
        page = error_page(request, problem.status, problem.title, problem.detail, problem.instance)
        page.headers.update(problem_error.headers or {})
        return page
    body = problem.model_dump() | dict(problem_error.extensions)
    return JSONResponse(body, problem.status, headers=problem_error.headers, media_type=MEDIA_TYPE)


def register_error_handlers(app: FastAPI) -> None:
    """Registers a handler for each exception that a route may raise."""
    _register_request_errors(app)
    _register_unavailable_errors(app)


def _register_request_errors(app: FastAPI) -> None:
    @app.exception_handler(HTTPException)
    async def http_error(request: Request, error: HTTPException) -> Response:
        if not isinstance(error, ProblemError):
            headers = dict(error.headers or {})
            if error.status_code == 405 and (methods := allowed_methods(request)):
                headers["Allow"] = methods
            error = ProblemError(problem=problem_for_status(error.status_code), headers=headers)
        return problem_response(request, error)

    @app.exception_handler(LoginRequired)
    async def login_required(_: Request, error: LoginRequired) -> Response:
        return redirect_to_login(error.then)

    @app.exception_handler(RequestValidationError)
    async def validation_error(request: Request, error: RequestValidationError) -> Response:
        if any(tuple(str(part).lower() for part in each["loc"]) == _KEY for each in error.errors()):
            return problem_response(request, ProblemError("key-missing"))
        if any(each["type"] == "json_invalid" for each in error.errors()):
            return problem_response(request, ProblemError("malformed"))
        return problem_response(request, ProblemError("not-valid", errors=wrong_fields(error.errors())))


def _register_unavailable_errors(app: FastAPI) -> None:
    @app.exception_handler(UpstreamUnavailable)
    async def upstream_unavailable(request: Request, error: UpstreamUnavailable) -> Response:
        return problem_response(
            request, ProblemError("away", f"{error}; try again", headers=_retry_after(error.retry_after_s))
        )

    @app.exception_handler(StoreUnavailable)
    async def store_unavailable(request: Request, error: StoreUnavailable) -> Response:
        contended = isinstance(error, WriteConflicts)
        detail = "other requests change the same data at the same time" if contended else _STORE_AWAY
        return problem_response(request, ProblemError("away", detail, headers=_retry_after(_STORE_RETRY_S)))


def _retry_after(seconds: int) -> Mapping[str, str]:
    return {"Retry-After": str(seconds)}
