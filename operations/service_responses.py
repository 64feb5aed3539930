"""Parses responses of services. A body that does not match the service's model counts as unavailable."""

from typing import Any

import httpx
from pydantic import BaseModel, ValidationError

from chassis.web.http_client import UpstreamUnavailable


def parse_response(response: httpx.Response, documented: type[BaseModel], service: str) -> dict[str, Any]:
    """Raises UpstreamUnavailable for anything else, such as a proxy's HTML page."""
    try:
        documented.model_validate_json(response.content)
    except ValidationError:
        raise UpstreamUnavailable(service) from None
    body: dict[str, Any] = response.json()
    return body
