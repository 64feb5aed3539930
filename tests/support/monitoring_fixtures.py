"""Prometheus and Alertmanager for tests: found or installed once, with the repository's configuration."""

import pytest

from journey.admin.infrastructure_unavailable import InfrastructureUnavailable
from journey.devenv.infra.monitoring import MonitoringPrograms, monitoring_programs


@pytest.fixture(scope="session")
def programs() -> MonitoringPrograms:
    """A missing program fails the test, with the remedy."""
    try:
        return monitoring_programs(print)
    except InfrastructureUnavailable as error:
        pytest.fail(f"this test needs Prometheus and Alertmanager: {error}", pytrace=False)
