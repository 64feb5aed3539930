"""Logs, metrics and traces. They contain a journey's ids, never a body, an address or a token."""

from chassis.telemetry.logs import configure as configure
from chassis.telemetry.logs import is_debug as is_debug
from chassis.telemetry.logs import log as log
