"""`python -m notification_svc`: run notification_svc as a process of its own."""

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
    """To all who share the machine: nobody waits for a mail as one waits for an order.

    Where Linux groups processes by session, being nice counts within the group only, and the group has a niceness of
    its own (sched(7), "The autogroup feature"); it is ours to change if the session is.
    """
    os.nice(nice)
    if os.getsid(0) == os.getpid():
        with suppress(OSError):
            Path("/proc/self/autogroup").write_text(str(nice))


if __name__ == "__main__":
    main()
