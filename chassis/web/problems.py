"""Error responses as problem details (RFC 9457): the model, its OpenAPI declarations and its responses."""

from collections.abc import Iterable, Mapping
from http import HTTPStatus
from typing import Any

import httpx
from pydantic import BaseModel, Field, ValidationError
from starlette.responses import JSONResponse, Response

MEDIA_TYPE = "application/problem+json"
WRONG_FIELDS_MAX = 10
_PART_CHARS_MAX = 100


class WrongField(BaseModel):
    """`pointer`: a JSON Pointer (RFC 6901) into the body, prefixed with `#`; other locations by name, like
    `query/limit`. `detail` says how to fix the value."""

    pointer: str = Field(examples=["#/lines/0/quantity"])
    detail: str


class Problem(BaseModel):
    """`type` links to a page about this kind of problem; `instance` is the request's id,
    for finding it in the logs.
    """

    type: str = "about:blank"
    title: str
    status: int
    detail: str = ""
    instance: str = ""
    errors: list[WrongField] = []


def wrong_fields(errors: Iterable[Mapping[str, Any]]) -> list[WrongField]:
    """The first errors that pydantic found. The input is not repeated: it may be a password."""
    found = [WrongField(pointer=_pointer(each), detail=error_message(each)) for each in errors]
    return found[:WRONG_FIELDS_MAX]


def error_message(error: Mapping[str, Any]) -> str:
    """What pydantic or the JSON parser says about one error."""
    reason = error.get("ctx", {}).get("error", "") if error["type"] == "json_invalid" else ""
    return f"{error['msg']}: {reason}" if reason else str(error["msg"])


def _pointer(error: Mapping[str, Any]) -> str:
    where, *path = (
        str(part).replace("~", "~0").replace("/", "~1")[:_PART_CHARS_MAX] for part in error["loc"]
    )
    if error["type"] == "json_invalid":
        path = []  # invalid JSON has no fields: this is the character at which parsing failed
    return "/".join(["#" if where == "body" else where, *path])


def problem_responses(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """For OpenAPI: the problem responses that a route may give.

    FastAPI builds a field for each model of each route, even if all are the same. So only 422 names the
    model; the others refer to it, and every application has some route with problem_responses(422).
    """
    content = {"content": {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}}}
    return {
        status: content | ({"model": Problem} if status == HTTPStatus.UNPROCESSABLE_ENTITY else {})
        for status in statuses
    }


ALWAYS = problem_responses(422, 503)
"""The problem responses of every route of every service.

Routers name them, because FastAPI builds included routes twice.
"""


def problem_response(
    status: int,
    title: str,
    detail: str = "",
    *,
    type: str = "about:blank",
    headers: Mapping[str, str] | None = None,
) -> JSONResponse:
    body = Problem(type=type, title=title, status=status, detail=detail).model_dump()
    return JSONResponse(body, status, headers=headers, media_type=MEDIA_TYPE)


def refused_headers(objection: str) -> Response:
    """The response to a request with an ambiguous header."""
    return problem_response(400, "Ambiguous header", objection)


def parse_problem(response: httpx.Response) -> Problem:
    """The problem details in a service's response;
    only the status if its body is not valid problem details.
    """
    try:
        return Problem.model_validate_json(response.content)
    except ValidationError:
        return Problem(title="", status=response.status_code)
