"""What notification_svc runs: its definition, its routes, and its mailer."""

from contextlib import AbstractAsyncContextManager

from chassis.application import Application, ApplicationParts, OpenStore
from chassis.core.definition import EffectHandler
from chassis.runtime import Runtime
from notification_svc import api
from notification_svc.faults import MailServerSwitch, with_fault, with_hanging_effect
from notification_svc.mail import Deliver, DeliveryResult
from notification_svc.mailer import open_mailer
from notification_svc.service import notification_service
from notification_svc.settings import NotificationSettings


def build(settings: NotificationSettings, _: OpenStore) -> ApplicationParts:
    def effects(
        runtime: Runtime,
    ) -> AbstractAsyncContextManager[EffectHandler[Deliver, DeliveryResult]]:
        return open_mailer(settings, runtime.clock)

    mail_server = MailServerSwitch()
    sending = mail_server.covers(effects)
    return ApplicationParts(
        with_fault(notification_service(settings.ttl), settings.notification_fault),
        api.routes,
        with_hanging_effect(sending) if settings.notification_fault else sending,
        faults=(mail_server.fault,),
    )


APPLICATION = Application(NotificationSettings, build)
