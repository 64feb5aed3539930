"""A running user_svc for each test."""

from tests.support.user_fixtures import user_app as user_app
