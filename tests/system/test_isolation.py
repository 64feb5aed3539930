"""A failed, slow or stopped notification service never blocks an order or a payment: mails arrive later,
once.
"""

import pytest

from journey.devenv.process_shop import ProcessShop
from tests.support.system_fixtures import OrderLoad

pytestmark = [pytest.mark.real, pytest.mark.system, pytest.mark.timeout(1200)]

ORDERS = 200


async def test_stopped_notification_delays_mails_only(system: ProcessShop, order_load: OrderLoad) -> None:
    await system.stop("notification_svc")
    await order_load.place(ORDERS)
    await order_load.all_end_as_expected(wait_s=300)
    system.start("notification_svc")
    await order_load.one_mail_each(wait_s=300)
    await order_load.doctor_agrees()


@pytest.mark.parametrize("fault", ["hang", "raise"])
async def test_broken_notification_delays_mails_only(
    system: ProcessShop, order_load: OrderLoad, fault: str
) -> None:
    await system.stop("notification_svc")
    system.start("notification_svc", JOURNEY_ALLOW_FAULTS="1", NOTIFICATION_FAULT=fault)
    await system.ready(["notification_svc"])
    await order_load.place(ORDERS)
    await order_load.all_end_as_expected(wait_s=300)
    await system.kill("notification_svc")
    system.start("notification_svc")
    await order_load.one_mail_each(wait_s=300)
    await order_load.doctor_agrees()
