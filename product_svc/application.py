"""What product_svc runs: its definition and its routes."""

from chassis.application import Application, ApplicationParts, OpenStore
from chassis.settings import Settings
from product_svc.api import routes
from product_svc.service import product_service


def build(_: Settings, __: OpenStore) -> ApplicationParts:
    return ApplicationParts(product_service(), routes)


APPLICATION = Application(Settings, build)
