"""Recognises JSON content types, by the media type syntax of RFC 9110, section 8.3.1."""

import re

_TOKEN = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
_PARAMETER = re.compile(rf'[ \t]*;[ \t]*(?:(?P<name>{_TOKEN})=(?P<value>{_TOKEN}|"(?:[^"\\]|\\.)*"))?')
_JSON = re.compile(r"[ \t]*application/json", re.IGNORECASE)


def is_json(content_type: str | None) -> bool:
    """True for `application/json` with any parameters, if the charset is UTF-8,
    and for a missing content type.

    Client libraries write a charset, or no content type at all, and mean the same bytes.
    """
    if not content_type:
        return True
    if (found := _JSON.match(content_type)) is None:
        return False
    end = found.end()
    while found := _PARAMETER.match(content_type, end):
        end = found.end()
        if (found["name"] or "").lower() == "charset" and found["value"].strip('"').lower() != "utf-8":
            return False
    return not content_type[end:].strip(" \t")
