"""The delay of mails: from the event that causes a mail until a mail server has accepted it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any

import pytest

from chassis.core.definition import EffectHandler
from chassis.runtime import Runtime
from notification_svc.service import notification_service
from tests.support.messages import CONFIRMED, MAIL_REFUSED, MAIL_TAKEN
from tests.support.metric_changes import MetricChanges
from tests.support.observed_service import observed


@pytest.mark.parametrize(
    ("result", "expected"), [(MAIL_TAKEN, (1, 120)), (MAIL_REFUSED, (0, 0))], ids=["sent", "undeliverable"]
)
async def test_the_delay_of_a_sent_mail_is_observed(result: Any, expected: tuple[int, int]) -> None:
    metrics = MetricChanges()

    @asynccontextmanager
    async def mail_server(runtime: Runtime) -> AsyncIterator[EffectHandler[Any, Any]]:
        async def deliver(effect: Any, first_asked: datetime) -> Any:
            service.passes(90)
            return result

        yield deliver

    async with observed(notification_service(), mail_server) as service:
        await service.receive(CONFIRMED, after_s=30)
    names = ("journey_mail_delay_seconds_count", "journey_mail_delay_seconds_sum")
    assert tuple(metrics[name] for name in names) == expected
