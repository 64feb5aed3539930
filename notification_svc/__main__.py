"""`python -m notification_svc`: run notification_svc as a process of its own."""

from contextlib import AbstractAsyncContextManager

from chassis.runtime import Runtime, run
from chassis.service import Perform
from chassis.settings import load_settings
from notification_svc import api
from notification_svc.faults import hanging, with_fault
from notification_svc.mailer import mailing
from notification_svc.service import notification_service
from notification_svc.settings import NotificationSettings


def main() -> None:
    settings: NotificationSettings = load_settings(NotificationSettings)

    def effects(runtime: Runtime) -> AbstractAsyncContextManager[Perform]:
        return mailing(settings, runtime.clock)

    service = with_fault(notification_service(), settings.notification_fault)
    run(service, settings, routes=api.routes, effects=hanging(effects) if settings.notification_fault else effects)


if __name__ == "__main__":
    main()
