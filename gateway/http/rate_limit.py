"""Rate limits: fixed windows of one minute, counted in this instance's memory.

With n instances a client gets n times the quota: the limits protect against runaway clients and are no exact
quota. The number of counters is bounded. Beyond it the oldest counters are dropped.
"""

import math
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

from starlette.requests import HTTPConnection

from gateway.http.problems import ProblemError, make_problem

_WINDOW_S = 60
_WINDOWS_MAX = 20_000
QUOTA_EXCEEDED = "https://iana.org/assignments/http-problem-types#quota-exceeded"


@dataclass(frozen=True)
class RateLimit:
    """`name`: the policy name in the headers (draft-ietf-httpapi-ratelimit-headers).

    `quota`: requests per minute.
    """

    name: str
    quota: int


@dataclass(slots=True)
class _Window:
    ends_at: float
    remaining: int


class RateLimitExceeded(ProblemError):
    """The quota of the current window is used up.

    The problem names it (draft-ietf-httpapi-ratelimit-headers).
    """

    def __init__(self, limit: RateLimit, retry_after_s: int) -> None:
        detail = f"more than {limit.quota} requests in {_WINDOW_S} s: wait {retry_after_s} s"
        super().__init__(
            problem=make_problem("too-many", detail, type=QUOTA_EXCEEDED),
            headers={"Retry-After": str(retry_after_s)},
            extensions={"violated-policies": [limit.name]},
        )


class RateLimiter:
    """Counts requests, and stores the RateLimit headers of the response in the request's state."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._windows: OrderedDict[tuple[str, str], _Window] = OrderedDict()

    def hit(self, request: HTTPConnection, limit: RateLimit, client: str) -> None:
        """Counts a request of `client`. The headers describe the limit that was counted last.

        Raises RateLimitExceeded.
        """
        now = self._clock()
        window = self._windows.get((limit.name, client))
        if window is None or window.ends_at <= now:
            window = self._windows[limit.name, client] = _Window(now + _WINDOW_S, limit.quota)
            self._windows.move_to_end((limit.name, client))
            if len(self._windows) > _WINDOWS_MAX:
                self._windows.popitem(last=False)
        ends_in_s = max(1, math.ceil(window.ends_at - now))
        exceeded = window.remaining == 0
        window.remaining -= not exceeded
        request.state.rate_limit = {
            "RateLimit-Policy": f'"{limit.name}";q={limit.quota};w={_WINDOW_S}',
            "RateLimit": f'"{limit.name}";r={window.remaining};t={ends_in_s}',
        }
        if exceeded:
            raise RateLimitExceeded(limit, ends_in_s)
