"""Progress of a long command: one updating line on a terminal, an occasional line in a log;
and early results.
"""

import asyncio
import time
from types import TracebackType

from rich.console import Console
from rich.status import Status
from rich.text import Text

_FIRST_S, _EVERY_S = 1.5, 5.0
_EARLY_S = 1.0


class ProgressLine:
    """Use it as `with ProgressLine(console, "comparing orders") as progress`.

    Without a terminal it prints to stderr, because stdout is for results.
    """

    def __init__(self, console: Console, what: str) -> None:
        self._console = (
            console if console.is_terminal else Console(stderr=True, highlight=False, soft_wrap=True)
        )
        self._status: Status | None = None
        self._what = what
        self._due_at = time.monotonic() + _FIRST_S

    def __enter__(self) -> "ProgressLine":
        if self._console.is_terminal:
            self._status = self._console.status(self._what)
            self._status.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._status is not None:
            self._status.stop()

    def report(self, how_far: str) -> None:
        if self._status is not None:
            self._status.update(f"{self._what}: {how_far}")
        elif time.monotonic() >= self._due_at:
            self._due_at = time.monotonic() + _EVERY_S
            self._console.print(f"{self._what}: {how_far}")


class EarlyResults:
    """Prints results at once if a command takes longer than a second; a shorter command prints only its
    final result. Use it as `with EarlyResults(console) as early` in a running loop.
    """

    def __init__(self, console: Console, after_s: float = _EARLY_S) -> None:
        self._console = console
        self._after_s = after_s
        self._held: list[Text] | None = []

    def __enter__(self) -> "EarlyResults":
        self._due = asyncio.get_running_loop().call_later(self._after_s, self._release)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._due.cancel()

    def report(self, line: Text) -> None:
        if self._held is None:
            self._console.print(line)
        else:
            self._held.append(line)

    def _release(self) -> None:
        for line in self._held or ():
            self._console.print(line)
        self._held = None
