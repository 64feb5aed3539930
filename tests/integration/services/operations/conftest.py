"""The operations application."""

from tests.support.operations_fixtures import operations_app as operations_app
