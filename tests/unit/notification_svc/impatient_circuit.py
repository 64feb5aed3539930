"""notification_svc with a circuit breaker whose pauses are short, for tests."""

from dataclasses import replace

from chassis.circuit_breaker import CircuitLimits, CircuitState
from chassis.core.definition import ServiceDefinition
from chassis.runtime import Runtime
from notification_svc.service import notification_service


def impatient_service() -> ServiceDefinition:
    service = notification_service()
    circuit = CircuitLimits(pause_s_min=0.05, pause_s_max=0.2)
    return replace(service, effects=replace(service.effects, circuit=circuit))


def circuit_state(instance: Runtime) -> CircuitState:
    """The state of its circuit breaker of effects."""
    assert instance._effect_runner is not None
    return instance._effect_runner.circuit
