"""Fixtures for all tests: a real broker and database, found or started once per session."""

import asyncio
import gc
import sys
from collections.abc import AsyncIterator, Iterator

import pytest
from hypothesis import HealthCheck, settings

from chassis.bus.aiormq_frames import aiormq_connection
from chassis.bus.topology_model import Topology
from journey.admin.infrastructure_unavailable import InfrastructureUnavailable
from journey.admin.registry import shop_topology
from journey.devenv.infra import resolve
from journey.devenv.infra.model import Infrastructure
from tests.support.failures_named import FailuresNamed
from tests.support.faults_shown import EachFaultShown
from tests.support.infrastructure import DELAY_SCALE, VirtualHost, fresh_database_prefix, fresh_vhost
from tests.support.xdist_workers import XdistWorkers, is_a_lane

CONNECT_S_MAX = 30.0

# No deadline per example: on a busy machine any example may be slow once.
_USUAL = settings()
_SUPPRESSED = (*_USUAL.suppress_health_check, HealthCheck.too_slow)
settings.register_profile("unhurried", _USUAL, deadline=None, suppress_health_check=_SUPPRESSED)
settings.load_profile("unhurried")


def pytest_configure(config: pytest.Config) -> None:
    config.pluginmanager.register(XdistWorkers(config))
    if not is_a_lane(config):  # a worker knows only its own tests
        config.pluginmanager.register(EachFaultShown(config))
        config.pluginmanager.register(FailuresNamed(config))


def pytest_collection_finish() -> None:
    """Loaded code stays, so the garbage collector need not scan it repeatedly:
    that takes a quarter of the time.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 50)


@pytest.fixture(scope="session")
def real_infrastructure(
    tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest
) -> Iterator[Infrastructure]:
    """From the environment, else testcontainers, else local processes; printed once."""
    state_dir = tmp_path_factory.mktemp("infrastructure")
    capture = request.config.pluginmanager.getplugin("capturemanager")

    def log(text: str) -> None:
        with capture.global_and_fixture_disabled():
            print(f"\n{text}", file=sys.stderr)  # the output of a worker is lost

    try:
        found = asyncio.run(resolve.obtain(state_dir, for_tests=True, log=log))
    except InfrastructureUnavailable as error:
        pytest.fail(f"this test needs a real broker and a real database: {error}", pytrace=False)
    try:
        yield found
    finally:
        asyncio.run(resolve.release(state_dir, log=lambda text: None))


@pytest.fixture
def topology() -> Topology:
    """The whole topology, with a retry ladder that is 100 times faster."""
    return shop_topology(DELAY_SCALE)


@pytest.fixture
async def vhost(
    real_infrastructure: Infrastructure, topology: Topology, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[VirtualHost]:
    """A fresh virtual host."""
    monkeypatch.setattr(aiormq_connection, "CONNECT_S_MAX", CONNECT_S_MAX)
    async with fresh_vhost(real_infrastructure, topology) as made:
        yield made


@pytest.fixture
async def database_prefix(real_infrastructure: Infrastructure) -> AsyncIterator[str]:
    """A prefix for database names; databases with it are dropped afterwards."""
    async with fresh_database_prefix(real_infrastructure) as prefix:
        yield prefix
