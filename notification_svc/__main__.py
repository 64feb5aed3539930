"""`python -m notification_svc`: run notification_svc as its own process."""

import os
from contextlib import AbstractAsyncContextManager, suppress
from pathlib import Path

from chassis.core.definition import EffectHandler
from chassis.runtime import Runtime, run
from chassis.settings import load_settings
from notification_svc import api
from notification_svc.faults import with_fault, with_hanging_effect
from notification_svc.mailer import open_mailer
from notification_svc.service import notification_service
from notification_svc.settings import NotificationSettings

NICE = 5


def main() -> None:
    lower_priority()
    settings: NotificationSettings = load_settings(NotificationSettings)

    def effects(runtime: Runtime) -> AbstractAsyncContextManager[EffectHandler]:
        return open_mailer(settings, runtime.clock)

    service = with_fault(notification_service(settings.ttl), settings.notification_fault)
    run(
        service,
        settings,
        routes=api.routes,
        effects=with_hanging_effect(effects) if settings.notification_fault else effects,
    )


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
