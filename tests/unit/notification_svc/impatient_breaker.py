"""A circuit breaker for tests, whose pauses are short."""

from chassis.backoff import Backoff
from chassis.circuit_breaker import CircuitBreaker, CircuitState
from chassis.runtime import Runtime


def impatient_breaker(probe_s: float) -> CircuitBreaker:
    return CircuitBreaker(probe_s=probe_s, backoff=Backoff(0.05, 0.2, jitter=0.2))


def circuit_state(instance: Runtime) -> CircuitState:
    """The state of its circuit breaker of effects."""
    return instance._breaker.state
