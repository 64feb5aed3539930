"""Conditional requests: a response has an ETag, and a request with that ETag gets 304 (RFC 9110, section 13)."""

from typing import Annotated, Any

from fastapi import Header

IfNoneMatch = Annotated[str, Header(description="the ETag that you have")]
NOT_MODIFIED: dict[int | str, dict[str, Any]] = {304: {"description": "Nothing new since the ETag you have"}}


def etag_matches(etag: str, if_none_match: str) -> bool:
    """Whether If-None-Match contains the ETag. Compressing proxies make it a weak one, so W/ is ignored."""
    given = [tag.strip().removeprefix("W/") for tag in if_none_match.split(",")]
    return etag in given or given == ["*"]
