"""Counts executed lines of the system's own code: the same on every machine, unlike seconds."""

import sys
from collections.abc import Awaitable
from types import FrameType
from typing import Any

from tests.support.source_files import PACKAGES, ROOT

_OURS = tuple(f"{ROOT / package}/" for package in PACKAGES)


async def lines_executed(work: Awaitable[Any]) -> int:
    """The number of executed lines of the packages' code until `work` is done."""
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
