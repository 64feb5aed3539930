"""Reads what services answer to the staff's pages. A body that is not what the service documents is no answer."""

from typing import Any

import httpx
from pydantic import BaseModel, ValidationError

from gateway.upstream import Away


def read(answer: httpx.Response, documented: type[BaseModel], service: str) -> dict[str, Any]:
    """Raises Away for anything else, such as the HTML page of a proxy."""
    try:
        documented.model_validate_json(answer.content)
    except ValidationError:
        raise Away(service) from None
    body: dict[str, Any] = answer.json()
    return body
