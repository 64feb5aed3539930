"""The mail service yields the CPU to other processes, and changes only its own priority."""

import subprocess
import sys
from pathlib import Path

from notification_svc.__main__ import NICE

GROUP = Path("/proc/self/autogroup")
LOOK = (
    "import os, pathlib; from notification_svc.__main__ import lower_priority; lower_priority(); "
    "print(os.nice(0));"
    f" group = pathlib.Path({str(GROUP)!r}); print(*group.read_text().split()[-1:] if group.exists() else ())"
)


def niceness(*, own_session: bool) -> list[str]:
    """The niceness of the process and, where Linux groups processes by session, of its group."""
    command = [sys.executable, "-c", LOOK]
    return subprocess.run(
        command, check=True, capture_output=True, text=True, start_new_session=own_session
    ).stdout.split()


def test_its_own_session_is_as_nice_as_itself() -> None:
    assert niceness(own_session=True) == ([str(NICE), str(NICE)] if GROUP.exists() else [str(NICE)])


def test_a_session_that_others_share_is_left_as_it_is() -> None:
    before = GROUP.read_text().split()[-1:] if GROUP.exists() else []
    assert niceness(own_session=False) == [str(NICE), *before]
