"""Text that others wrote, fit to be shown."""

import json


def plain(text: str, *, lines: bool = False) -> str:
    """Without anything that a terminal would obey."""
    return "".join(char if char.isprintable() or (lines and char == "\n") else "�" for char in text)


def pretty(body: str | bytes, chars_max: int, besides: str = "") -> str:
    """A payload, JSON or not. `besides`: what to add where it is cut off."""
    try:
        text = json.dumps(json.loads(body), indent=2, ensure_ascii=False)
    except (ValueError, RecursionError):
        text = body.decode(errors="replace") if isinstance(body, bytes) else body
    shown = plain(text[:chars_max], lines=True)
    return shown if len(text) <= chars_max else f"{shown}\n… of {len(text):,} characters{besides}"
