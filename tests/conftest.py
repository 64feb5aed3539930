"""What every test may ask for: a real broker and database, found or started once a session."""

import asyncio
import gc
import sys
from collections.abc import AsyncIterator, Iterator

import pytest
from hypothesis import HealthCheck, settings

from chassis.bus import aiormq_connection
from chassis.bus.topology import Topology
from journey.admin.registry import shop_topology
from journey.infra import resolve
from journey.infra.model import Infrastructure, InfrastructureUnavailable
from tests.faults_shown import EachFaultShown
from tests.infrastructure import DELAY_SCALE, VirtualHost, fresh_database_prefix, fresh_vhost
from tests.xdist_workers import XdistWorkers, is_a_lane

CONNECT_S_MAX = 30.0

# An example may take as long as it takes: on a machine that has other things to do the same one is slow once.
_USUAL = settings()
_SUPPRESSED = (*_USUAL.suppress_health_check, HealthCheck.too_slow)
settings.register_profile("unhurried", _USUAL, deadline=None, suppress_health_check=_SUPPRESSED)
settings.load_profile("unhurried")


def pytest_configure(config: pytest.Config) -> None:
    config.pluginmanager.register(XdistWorkers(config))
    if not is_a_lane(config):  # a lane hears of its own tests only
        config.pluginmanager.register(EachFaultShown(config))


def pytest_collection_finish() -> None:
    """What is loaded stays, so it need not be looked through for garbage again and again: a quarter of the time."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 50)


@pytest.fixture(scope="session")
def real_infrastructure(
    tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest
) -> Iterator[Infrastructure]:
    """From the environment, else by testcontainers, else local processes; said once which."""
    state_dir = tmp_path_factory.mktemp("infrastructure")
    capture = request.config.pluginmanager.getplugin("capturemanager")

    def say(text: str) -> None:
        with capture.global_and_fixture_disabled():
            print(f"\n{text}", file=sys.stderr)  # what a lane prints is lost

    try:
        found = asyncio.run(resolve.obtain(state_dir, for_tests=True, say=say))
    except InfrastructureUnavailable as error:
        pytest.fail(f"this test needs a real broker and a real database: {error}", pytrace=False)
    try:
        yield found
    finally:
        asyncio.run(resolve.release(state_dir, say=lambda text: None))


@pytest.fixture
def topology() -> Topology:
    """The whole one, its retry ladder a hundred times quicker."""
    return shop_topology(DELAY_SCALE)


@pytest.fixture
async def vhost(
    real_infrastructure: Infrastructure, topology: Topology, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[VirtualHost]:
    """A fresh virtual host. Whoever connects to it may take their time."""
    monkeypatch.setattr(aiormq_connection, "CONNECT_S_MAX", CONNECT_S_MAX)
    async with fresh_vhost(real_infrastructure, topology) as made:
        yield made


@pytest.fixture
async def database_prefix(real_infrastructure: Infrastructure) -> AsyncIterator[str]:
    """Begin the names of databases with it; they are dropped afterwards."""
    async with fresh_database_prefix(real_infrastructure) as prefix:
        yield prefix
