"""What order_svc runs: its definition and its routes."""

from datetime import timedelta
from functools import partial
from typing import Annotated

from pydantic import AfterValidator, Field

from chassis.application import Application, ApplicationParts, OpenStore
from chassis.settings import Settings, within_retention
from contracts.http.orders import USUAL_RETURN_DAYS, ReturnDays
from order_svc.api import routes
from order_svc.service import DEADLINE_S, order_service


class OrderSettings(Settings):
    order_deadline_s: float = Field(
        DEADLINE_S, gt=0, le=7 * 86_400, description="seconds until an undecided order is cancelled"
    )
    return_days: Annotated[ReturnDays, AfterValidator(within_retention)] = Field(
        USUAL_RETURN_DAYS, validate_default=True
    )


def build(settings: OrderSettings, _: OpenStore) -> ApplicationParts:
    return_window = timedelta(days=settings.return_days)
    service = order_service(settings.order_deadline_s, settings.ttl, return_window)
    return ApplicationParts(service, partial(routes, return_window=return_window))


APPLICATION = Application(OrderSettings, build)
