"""The mail service yields the CPU to other processes, and changes only its own priority."""

import os
import subprocess
import sys
from pathlib import Path

from notification_svc.__main__ import NICE

GROUP = Path("/proc/self/autogroup")
OWN = min(os.nice(0) + NICE, 19)  # relative to the priority of the tests; 19 is the lowest one
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


def test_the_own_session_gets_the_niceness_of_the_process() -> None:
    assert niceness(own_session=True) == ([str(OWN), str(NICE)] if GROUP.exists() else [str(OWN)])


def test_a_shared_session_keeps_its_niceness() -> None:
    before = GROUP.read_text().split()[-1:] if GROUP.exists() else []
    assert niceness(own_session=False) == [str(OWN), *before]
