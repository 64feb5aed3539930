"""The operations application for each test."""

from tests.support.operations_fixtures import operations_app as operations_app
