"""How far a long command is: one line that changes on a terminal, a line now and then in a log."""

import time
from types import TracebackType

from rich.console import Console
from rich.status import Status

_FIRST_S, _EVERY_S = 1.5, 5.0


class Progress:
    """Use it as `with Progress(console, "comparing orders") as progress`. In a log it goes to stderr: results are
    for stdout."""

    def __init__(self, console: Console, what: str) -> None:
        self._console = console if console.is_terminal else Console(stderr=True, highlight=False, soft_wrap=True)
        self._status: Status | None = None
        self._what = what
        self._due_at = time.monotonic() + _FIRST_S

    def __enter__(self) -> "Progress":
        if self._console.is_terminal:
            self._status = self._console.status(self._what)
            self._status.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._status is not None:
            self._status.stop()

    def tell(self, how_far: str) -> None:
        if self._status is not None:
            self._status.update(f"{self._what}: {how_far}")
        elif time.monotonic() >= self._due_at:
            self._due_at = time.monotonic() + _EVERY_S
            self._console.print(f"{self._what}: {how_far}")
