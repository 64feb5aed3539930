"""`python -m notification_svc`: run notification_svc as its own process."""

import os
from contextlib import suppress
from pathlib import Path

from notification_svc.application import APPLICATION

NICE = 5


def main() -> None:
    lower_priority()
    APPLICATION.run()


def lower_priority(nice: int = NICE) -> None:
    """Lowers the priority of this process, because mails are less urgent than orders.

    Where Linux groups processes by session, the niceness counts within the group only, and the group has a
    niceness of its own (sched(7), "The autogroup feature"). It may be changed if the session is ours.
    """
    os.nice(nice)
    if os.getsid(0) == os.getpid():
        with suppress(OSError):
            Path("/proc/self/autogroup").write_text(str(nice))


if __name__ == "__main__":
    main()
