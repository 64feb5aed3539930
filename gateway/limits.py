"""How much one visitor may ask for: fixed windows of a minute, counted in this instance's memory.

With n instances somebody may ask n times as often: it is a fence against runaway programs, not a bill. The counters
are bounded; a flood of new addresses pushes out the oldest ones, and those begin anew.
"""

import math
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

from starlette.requests import HTTPConnection

_WINDOW_S = 60
_COUNTERS_MAX = 20_000
QUOTA_EXCEEDED = "https://iana.org/assignments/http-problem-types#quota-exceeded"


@dataclass(frozen=True)
class Policy:
    """`name`: as the headers call it (draft-ietf-httpapi-ratelimit-headers)."""

    name: str
    quota: int


@dataclass(slots=True)
class _Counter:
    ends_at: float
    left: int


class TooMany(Exception):
    """The quota is used up until then."""

    def __init__(self, policy: Policy, retry_after_s: int) -> None:
        super().__init__(f"more than {policy.quota} requests in {_WINDOW_S} s")
        self.policy, self.retry_after_s = policy, retry_after_s


class Limits:
    """Counts, and leaves on the request what its answer is to say about that."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._counters: OrderedDict[tuple[str, str], _Counter] = OrderedDict()

    def count(self, request: HTTPConnection, policy: Policy, who: str) -> None:
        """Raises TooMany. The last policy that was counted is the one that the answer names."""
        now = self._clock()
        counter = self._counters.get((policy.name, who))
        if counter is None or counter.ends_at <= now:
            counter = self._counters[policy.name, who] = _Counter(now + _WINDOW_S, policy.quota)
            self._counters.move_to_end((policy.name, who))
            if len(self._counters) > _COUNTERS_MAX:
                self._counters.popitem(last=False)
        ends_in_s = max(1, math.ceil(counter.ends_at - now))
        exceeded = counter.left == 0
        counter.left -= not exceeded
        request.state.rate_limit = {
            "RateLimit-Policy": f'"{policy.name}";q={policy.quota};w={_WINDOW_S}',
            "RateLimit": f'"{policy.name}";r={counter.left};t={ends_in_s}',
        }
        if exceeded:
            raise TooMany(policy, ends_in_s)
