"""Reading only what is new: an answer has an ETag, and whoever comes back with it gets 304 (RFC 9110, section 13)."""

from typing import Annotated, Any

from fastapi import Header

IfNoneMatch = Annotated[str, Header(description="the ETag that you have")]
NOT_CHANGED: dict[int | str, dict[str, Any]] = {304: {"description": "Nothing new since the ETag you have"}}


def is_known(etag: str, if_none_match: str) -> bool:
    """Whether whoever asks has it already. A proxy that compresses makes an ETag a weak one."""
    given = [tag.strip().removeprefix("W/") for tag in if_none_match.split(",")]
    return etag in given or given == ["*"]
