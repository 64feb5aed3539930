"""What every door of the shop answers when it says no: RFC 9457, "Problem Details for HTTP APIs"."""

from typing import Any

from pydantic import BaseModel, Field

MEDIA_TYPE = "application/problem+json"


class WrongField(BaseModel):
    """`pointer`: a JSON Pointer (RFC 6901) into what was sent, with `#` in front; `detail` says the remedy."""

    pointer: str = Field(examples=["#/lines/0/quantity"])
    detail: str


class Problem(BaseModel):
    """`type` leads to a page about this kind of problem; `instance` is the id of the request, for the logs."""

    type: str = "about:blank"
    title: str
    status: int
    detail: str = ""
    instance: str = ""
    errors: list[WrongField] = []


def answers(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """For OpenAPI: that a route may answer so, and in which form."""
    schema = {"$ref": "#/components/schemas/Problem"}
    return {status: {"model": Problem, "content": {MEDIA_TYPE: {"schema": schema}}} for status in statuses}
