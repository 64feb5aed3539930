"""Prometheus' and Alertmanager's own checkers."""

from tests.support.monitoring_fixtures import programs as programs
