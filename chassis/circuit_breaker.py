"""The circuit breaker of calls to another system (Nygard, "Release It!"): HTTP clients and effects use it."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from chassis.backoff import Backoff

FAILURES_MAX = 5
PAUSE_S_MIN = 1.0
PAUSE_S_MAX = 30.0
_JITTER = 0.2


class CircuitState(StrEnum):
    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half_open"


@dataclass(frozen=True)
class CircuitLimits:
    """When a circuit opens, and how long it stays open: at first `pause_s_min`, at most `pause_s_max`."""

    failures_max: int = FAILURES_MAX
    pause_s_min: float = PAUSE_S_MIN
    pause_s_max: float = PAUSE_S_MAX

    def __post_init__(self) -> None:
        if self.failures_max < 1 or not 0 < self.pause_s_min <= self.pause_s_max:
            raise ValueError(f"{self}: at least one failure, and 0 < pause_s_min <= pause_s_max")


DEFAULT_LIMITS = CircuitLimits()


def _event_loop_time() -> float:
    return asyncio.get_running_loop().time()


class CircuitBreaker:
    """Opens after `failures_max` failures in a row, for about `pause_s_min`.

    Then it is half open: one call is the probe.

    A success closes it. A failed probe opens it again, for twice as long, up to `pause_s_max`; the pauses
    vary by a fifth (see Backoff), so that instances do not probe together.

    `probe_s`: how long a probe may take. After that time without a result, another call is the probe.
    `changed` is called with each new state.
    """

    def __init__(
        self,
        *,
        probe_s: float,
        limits: CircuitLimits = DEFAULT_LIMITS,
        backoff: Backoff | None = None,
        clock: Callable[[], float] = _event_loop_time,
        changed: Callable[[CircuitState], None] = lambda state: None,
    ) -> None:
        self._probe_s = probe_s
        self._failures_max = limits.failures_max
        self._backoff = backoff or Backoff(limits.pause_s_min, limits.pause_s_max, jitter=_JITTER)
        self._clock = clock
        self._changed = changed
        self._failures = 0
        self._tripped = False  # it opened, and there was no success since
        self._open_until = 0.0
        self._probing_until = 0.0
        self._reported = CircuitState.CLOSED

    @property
    def state(self) -> CircuitState:
        if not self._tripped:
            return CircuitState.CLOSED
        return CircuitState.OPEN if self.open_s else CircuitState.HALF_OPEN

    @property
    def open_s(self) -> float:
        """Seconds until the circuit is half open; 0 if it is not open."""
        return max(0.0, self._open_until - self._clock()) if self._tripped else 0.0

    def allow_request(self) -> bool:
        """Whether to call now.

        In the half-open state this call is the probe, and no other call is allowed beside it.

        Report the result to `record_success` or `record_failure`; without one, call `abandon_probe`.
        """
        if self.state is CircuitState.HALF_OPEN:
            if self._clock() < self._probing_until:
                return False
            self._probing_until = self._clock() + self._probe_s
            self._report(CircuitState.HALF_OPEN)
        return not self.open_s

    def record_success(self) -> None:
        self._failures = 0
        self._tripped = False
        self._probing_until = 0.0
        self._backoff.reset()
        self._report(CircuitState.CLOSED)

    def record_failure(self) -> None:
        self._failures += 1
        if self.state is CircuitState.HALF_OPEN or (
            not self._tripped and self._failures >= self._failures_max
        ):
            self._tripped = True
            self._probing_until = 0.0
            self._open_until = self._clock() + self._backoff.next_s()
            self._report(CircuitState.OPEN)

    def abandon_probe(self) -> None:
        """The probe ended without a result: the next call is the probe."""
        self._probing_until = 0.0

    def _report(self, state: CircuitState) -> None:
        if state is not self._reported:
            self._reported = state
            self._changed(state)
