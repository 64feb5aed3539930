"""The circuit breaker of an HTTP client."""

import random
import time
from collections.abc import Callable

FAILURES_MAX = 5
_PAUSE_S_MIN, _PAUSE_S_MAX = 1.0, 30.0


class CircuitBreaker:
    """Opens after FAILURES_MAX failures in a row; then allows one probe at a time, each after a longer pause.

    The breaker of effects is separate: it pauses a queue, whose messages can wait. Here a client waits:
    requests fail at once with the time to retry, and a probe whose client disconnects expires. `probe_s`: how
    long a probe may take.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic, probe_s: float = 2.0) -> None:
        self._clock = clock
        self._probe_s = probe_s
        self._failures = self._times_opened = 0
        self._open_until = 0.0
        self._probing = False

    @property
    def open_s(self) -> float:
        """Seconds until the circuit allows a probe; 0 if it is not open."""
        return max(0.0, self._open_until - self._clock())

    def allow_request(self) -> bool:
        """Whether to send a request now. While a probe is pending, other requests are rejected."""
        if self.open_s > 0:
            return False
        if self._times_opened:
            self._probing = True
            self._open_until = self._clock() + self._probe_s
        return True

    def record_success(self) -> None:
        self._failures = self._times_opened = 0
        self._open_until = 0.0
        self._probing = False

    def record_failure(self) -> None:
        self._failures += 1
        if self._probing or (self._failures >= FAILURES_MAX and not self.open_s):
            pause_s = min(_PAUSE_S_MIN * 2 ** min(self._times_opened, 10), _PAUSE_S_MAX)
            self._times_opened, self._probing = self._times_opened + 1, False
            self._open_until = self._clock() + pause_s * random.uniform(0.8, 1.0)
