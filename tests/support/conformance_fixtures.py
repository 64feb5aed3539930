"""The brokers and databases that the suite uses."""

from collections.abc import AsyncIterator

import pytest

from chassis.bus.topology import build
from chassis.bus.topology_model import Topology
from journey.admin.registry import CONSUMING_SERVICES
from journey.devenv.infra.model import Infrastructure
from tests.support import brokers
from tests.support.brokers import Broker, InMemory, RabbitMq
from tests.support.databases import Database, InMemoryDatabase, MongoDatabase, mongodb
from tests.support.infrastructure import DELAY_SCALE, VirtualHost
from tests.support.order_neighbours import exchanging_with_order_svc


@pytest.fixture
def topology(request: pytest.FixtureRequest) -> Topology:
    """Of the services that take part in an order, or of all:
    a real broker takes time to create each queue.
    """
    every = request.node.get_closest_marker("every_service")
    names = CONSUMING_SERVICES if every else exchanging_with_order_svc()
    return build((CONSUMING_SERVICES[name]() for name in names), DELAY_SCALE)


@pytest.fixture
async def in_memory() -> AsyncIterator[InMemory]:
    async with brokers.in_memory() as made:
        yield made


@pytest.fixture
async def rabbit(vhost: VirtualHost) -> AsyncIterator[RabbitMq]:
    async with brokers.rabbitmq(vhost) as made:
        yield made


@pytest.fixture(params=["in_memory", pytest.param("rabbit", marks=pytest.mark.real)])
def broker(request: pytest.FixtureRequest) -> Broker:
    made: Broker = request.getfixturevalue(request.param)
    return made


@pytest.fixture
def memory() -> InMemoryDatabase:
    return InMemoryDatabase()


@pytest.fixture
async def motor(real_infrastructure: Infrastructure, database_prefix: str) -> AsyncIterator[MongoDatabase]:
    async with mongodb(real_infrastructure.mongo_url, f"{database_prefix}conformance", "motor") as made:
        yield made


@pytest.fixture
async def pymongo(real_infrastructure: Infrastructure, database_prefix: str) -> AsyncIterator[MongoDatabase]:
    async with mongodb(real_infrastructure.mongo_url, f"{database_prefix}conformance", "pymongo") as made:
        yield made


@pytest.fixture(
    params=[
        "memory",
        pytest.param("motor", marks=pytest.mark.real),
        pytest.param("pymongo", marks=pytest.mark.real),
    ]
)
def database(request: pytest.FixtureRequest) -> Database:
    made: Database = request.getfixturevalue(request.param)
    return made
