"""The brokers and databases that these tests use."""

from tests.support.conformance_fixtures import broker as broker
from tests.support.conformance_fixtures import database as database
from tests.support.conformance_fixtures import in_memory as in_memory
from tests.support.conformance_fixtures import memory as memory
from tests.support.conformance_fixtures import motor as motor
from tests.support.conformance_fixtures import pymongo as pymongo
from tests.support.conformance_fixtures import rabbit as rabbit
from tests.support.conformance_fixtures import topology as topology
