"""`python -m order_svc`: run order_svc as its own process."""

from pydantic import Field

from chassis.runtime import run
from chassis.settings import Settings, load_settings
from order_svc.api import routes
from order_svc.service import DEADLINE_S, order_service


class OrderSettings(Settings):
    order_deadline_s: float = Field(
        DEADLINE_S, gt=0, le=7 * 86_400, description="seconds until an undecided order is cancelled"
    )


def main() -> None:
    settings: OrderSettings = load_settings(OrderSettings)
    run(order_service(settings.order_deadline_s, settings.ttl), settings, routes=routes)


if __name__ == "__main__":
    main()
