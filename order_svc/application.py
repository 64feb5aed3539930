"""What order_svc runs: its definition and its routes."""

from pydantic import Field

from chassis.application import Application, ApplicationParts, OpenStore
from chassis.settings import Settings
from order_svc.api import routes
from order_svc.service import DEADLINE_S, order_service


class OrderSettings(Settings):
    order_deadline_s: float = Field(
        DEADLINE_S, gt=0, le=7 * 86_400, description="seconds until an undecided order is cancelled"
    )


def build(settings: OrderSettings, _: OpenStore) -> ApplicationParts:
    return ApplicationParts(order_service(settings.order_deadline_s, settings.ttl), routes)


APPLICATION = Application(OrderSettings, build)
