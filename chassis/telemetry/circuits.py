"""Reports the changes of circuit breakers: one metric, and one log line for each change."""

from collections.abc import Callable

from chassis.circuit_breaker import CircuitState
from chassis.telemetry import metrics
from chassis.telemetry.logs import log


def report_circuit(service: str, circuit: str) -> Callable[[CircuitState], None]:
    """What a CircuitBreaker calls with each new state. `circuit`: its name within the program."""

    def set_state(state: CircuitState) -> None:
        for each in CircuitState:
            metrics.CIRCUIT_STATE.labels(service, circuit, each).set(each is state)

    def changed(state: CircuitState) -> None:
        set_state(state)
        write = log.warning if state is CircuitState.OPEN else log.info
        write("circuit breaker changed", service=service, circuit=circuit, state=str(state))

    set_state(CircuitState.CLOSED)
    return changed
