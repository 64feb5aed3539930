"""The whole shop as real processes, with its own virtual host and databases."""

from tests.support.system_fixtures import crowd as crowd
from tests.support.system_fixtures import system as system
