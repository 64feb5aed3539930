"""The applications of services, built for tests with in-memory stores."""

from typing import Any

from chassis.application import ApplicationParts, application_of
from chassis.bus.memory import MemoryStore
from chassis.settings import load_settings

# The settings of all services, of which each takes its own.
SETTINGS: dict[str, Any] = {
    "amqp_url": "amqp://memory",
    "mongo_url": "mongodb://memory",
    "service_token": "a-token-for-tests-only",
    "smtp_url": "smtp://127.0.0.1:1",
    "user_svc_url": "http://user_svc",
    "simulator_latency_ms": 0,
}


def parts_of(name: str) -> ApplicationParts:
    application = application_of(name)
    settings = load_settings(application.settings, **SETTINGS)
    return application.build(settings, lambda database: MemoryStore())
