"""What user_svc runs: its definition and its routes."""

from functools import partial

from chassis.application import Application, ApplicationParts, OpenStore
from user_svc.http.sessions_api import routes
from user_svc.service import user_service
from user_svc.settings import UserSettings


def build(settings: UserSettings, _: OpenStore) -> ApplicationParts:
    served = partial(routes, service_tokens=settings.accepted_service_tokens, policy=settings.auth_policy())
    return ApplicationParts(user_service(), served)


APPLICATION = Application(UserSettings, build)
