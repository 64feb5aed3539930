"""The duration of orders: from placing until the order is confirmed, cancelled or rejected."""

from collections.abc import AsyncIterator

import pytest

from contracts.payments import PaymentAuthorized
from contracts.values import Money
from order_svc.service import order_service
from tests.support.messages import CANCEL, DECLINED, LISTED, ORDER, PLACE_OTHER_GOODS, PLACE_UNKNOWN, RESERVED
from tests.support.metric_changes import MetricChanges
from tests.support.observed_service import ObservedService, observed

AUTHORIZED = PaymentAuthorized(order_id=ORDER, amount=Money(amount_minor=5_000, currency="EUR"))


@pytest.fixture
def metrics() -> MetricChanges:
    return MetricChanges()


@pytest.fixture
async def orders() -> AsyncIterator[ObservedService]:
    async with observed(order_service()) as service:
        await service.receive(LISTED)
        yield service


def durations(metrics: MetricChanges) -> dict[str, tuple[float, float]]:
    """Outcome -> number and total of the observed durations, in seconds."""
    names = ("journey_order_duration_seconds_count", "journey_order_duration_seconds_sum")
    outcomes = ("confirmed", "cancelled", "rejected")
    found = {
        outcome: (metrics.of(names[0], outcome=outcome), metrics.of(names[1], outcome=outcome))
        for outcome in outcomes
    }
    return {outcome: observed for outcome, observed in found.items() if observed[0]}


async def test_the_duration_of_a_confirmed_order_counts_once(
    orders: ObservedService, metrics: MetricChanges
) -> None:
    await orders.receive(PLACE_OTHER_GOODS, after_s=3)
    await orders.receive(RESERVED, after_s=4)
    assert durations(metrics) == {}
    await orders.receive(AUTHORIZED, after_s=5)
    assert durations(metrics) == {"confirmed": (1, 12)}
    await orders.receive(CANCEL, after_s=60)
    assert durations(metrics) == {"confirmed": (1, 12)}


async def test_the_duration_of_a_declined_order_is_observed(
    orders: ObservedService, metrics: MetricChanges
) -> None:
    await orders.receive(PLACE_OTHER_GOODS, after_s=1)
    await orders.receive(DECLINED, after_s=6)
    assert durations(metrics) == {"cancelled": (1, 7)}


async def test_the_duration_of_a_rejected_order_is_its_wait(
    orders: ObservedService, metrics: MetricChanges
) -> None:
    await orders.receive(PLACE_UNKNOWN, after_s=2.5)
    assert durations(metrics) == {"rejected": (1, 2.5)}
