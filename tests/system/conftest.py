"""The whole shop as real processes, with its own virtual host and databases."""

from tests.support.system_fixtures import order_load as order_load
from tests.support.system_fixtures import system as system
