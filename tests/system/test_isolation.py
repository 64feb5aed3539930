"""A failed, slow or stopped notification service never blocks an order or a payment: mails arrive later,
once.
"""

import pytest

from journey.devenv.process_shop import ProcessShop
from tests.support.system_fixtures import Crowd

pytestmark = [pytest.mark.real, pytest.mark.system, pytest.mark.timeout(1200)]

ORDERS = 200


async def test_orders_end_while_notification_is_stopped_and_each_mail_comes_once_later(
    system: ProcessShop, crowd: Crowd
) -> None:
    await system.stop("notification_svc")
    await crowd.place(ORDERS)
    await crowd.all_end_as_expected(wait_s=300)
    system.start("notification_svc")
    await crowd.one_mail_each(wait_s=300)
    await crowd.doctor_agrees()


@pytest.mark.parametrize("fault", ["hang", "raise"])
async def test_orders_end_while_notification_is_broken_and_each_mail_comes_once_after_its_repair(
    system: ProcessShop, crowd: Crowd, fault: str
) -> None:
    await system.stop("notification_svc")
    system.start("notification_svc", JOURNEY_ALLOW_FAULTS="1", NOTIFICATION_FAULT=fault)
    await system.ready(["notification_svc"])
    await crowd.place(ORDERS)
    await crowd.all_end_as_expected(wait_s=300)
    await system.kill("notification_svc")
    system.start("notification_svc")
    await crowd.one_mail_each(wait_s=300)
    await crowd.doctor_agrees()
