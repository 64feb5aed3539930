"""Conditional requests: a request whose If-None-Match has the current ETag gets a 304 (RFC 9110,
section 13).
"""

from typing import Annotated, Any

from fastapi import Header

IfNoneMatch = Annotated[str, Header(description="the ETag of the version that you have")]
NOT_MODIFIED: dict[int | str, dict[str, Any]] = {
    304: {"description": "The ETag still matches: nothing has changed."}
}


def etag_matches(etag: str, if_none_match: str) -> bool:
    """Whether If-None-Match contains the ETag. Ignores W/, because compressing proxies make ETags weak."""
    given = [tag.strip().removeprefix("W/") for tag in if_none_match.split(",")]
    return etag in given or given == ["*"]
