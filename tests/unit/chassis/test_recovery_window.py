"""A service refuses to start if it could not be restored from a backup of the required age."""

from datetime import timedelta

import pytest

from chassis.application import application_of
from chassis.bus.topology_policies import JOURNAL_AGE, JOURNAL_KEPT
from chassis.core.definition import CLOCK_MARGIN
from chassis.recovery_window import MARGIN, require_recoverable, shortfalls
from chassis.service_process import run
from chassis.settings import DEFAULT_RECOVERY_WINDOW, UNDER_WAY_MAX, BadSettings, Settings, load_settings
from journey.admin.registry import CONSUMING_SERVICES
from order_svc.service import order_service
from tests.support.applications import SETTINGS

WEEK = timedelta(days=7)


@pytest.mark.parametrize("service", CONSUMING_SERVICES)
def test_the_default_window_fits_every_service(service: str) -> None:
    require_recoverable(CONSUMING_SERVICES[service](), DEFAULT_RECOVERY_WINDOW)


def test_a_window_longer_than_the_journal_is_refused() -> None:
    longest = JOURNAL_KEPT - MARGIN
    require_recoverable(order_service(), longest)
    with pytest.raises(BadSettings, match=r"is 29\.5.*set it to 29 at most"):
        require_recoverable(order_service(), longest + timedelta(hours=12))


def test_orders_that_expire_within_the_window_are_refused() -> None:
    kept = WEEK + MARGIN + CLOCK_MARGIN
    assert not list(shortfalls(order_service(ttl=kept), WEEK))
    [reason] = shortfalls(order_service(ttl=kept - timedelta(hours=1)), WEEK)
    assert "orders are deleted" in reason and "set RETENTION_DAYS to 9 at least" in reason


def test_a_service_does_not_start_with_contradicting_settings() -> None:
    settings = Settings(amqp_url="amqp://order_svc@x", mongo_url="mongodb://x", recovery_window_days=30)
    with pytest.raises(BadSettings, match="RECOVERY_WINDOW_DAYS"):
        run(order_service(), settings)


@pytest.mark.parametrize("service", ["order_svc", "inventory_svc"])
def test_a_return_window_beyond_the_retention_is_refused(service: str) -> None:
    """A refund on the last day may be under way for a while, and its reservation must still be there."""
    kind, month = application_of(service).settings, UNDER_WAY_MAX.days
    for return_days, retention_days in ((30, 60), (60 - month, 60), (3_650 - month, 3_650)):
        load_settings(kind, **SETTINGS, return_days=return_days, retention_days=retention_days)
    load_settings(kind, **SETTINGS, retention_days=60)  # the default window fits each permitted retention
    with pytest.raises(BadSettings) as refused:
        load_settings(kind, **SETTINGS, return_days=31, retention_days=60)
    text = str(refused.value)
    assert "RETURN_DAYS: " in text and "RETENTION_DAYS is 60" in text
    assert "set RETENTION_DAYS to 61 at least, or this to 30 at most" in text
    with pytest.raises(BadSettings, match="RETENTION_DAYS: "):
        load_settings(kind, **SETTINGS, return_days=31, retention_days=59)


def test_the_brokers_policy_has_the_age_that_the_check_uses() -> None:
    assert f"{JOURNAL_KEPT.days}D" == JOURNAL_AGE
