"""Counts the work of the system's own code in lines that are executed: the same on every machine, unlike seconds."""

import sys
from collections.abc import Awaitable
from types import FrameType
from typing import Any

from tests.rules import PACKAGES, ROOT

_OURS = tuple(f"{ROOT / package}/" for package in PACKAGES)


async def lines_executed(work: Awaitable[Any]) -> int:
    """How many lines of the packages' code ran until this was done."""
    lines = 0

    def count(frame: FrameType, event: str, argument: Any) -> Any:
        nonlocal lines
        lines += event == "line"
        return count

    def begin(frame: FrameType, event: str, argument: Any) -> Any:
        return count if frame.f_code.co_filename.startswith(_OURS) else None

    before = sys.gettrace()
    sys.settrace(begin)
    try:
        await work
    finally:
        sys.settrace(before)
    return lines
