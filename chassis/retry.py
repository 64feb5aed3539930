"""What happens to a message that could not be handled: the retry ladder, then the dead letter.

| what went wrong                          | answer                                                    |
|------------------------------------------|-----------------------------------------------------------|
| the business says no                     | an event; nothing went wrong                              |
| malformed, unknown type, forged          | dead letter at once, with the reason                      |
| a bug, a message out of turn, unroutable | 5 s, 1 min, 10 min, then a dead letter with the traceback |
| the outside world does not answer        | 5 s, then every minute, uncounted: nobody's fault here    |
| database or broker away                  | nothing is settled; consumption stops until it is back    |
"""

import traceback
from dataclasses import replace
from datetime import datetime
from typing import Any

from contracts.envelope import Parcel
from contracts.origin import HOP_HEADERS, Origin, handed_back

LADDER = ("retry.5s", "retry.1m", "retry.10m")
LADDER_MS = {"retry.5s": 5_000, "retry.1m": 60_000, "retry.10m": 600_000}
ATTEMPTS_MAX = len(LADDER) + 1
DEAD = "dead"
_TRACE_CHARS_MAX = 6_000


def after_failure(parcel: Parcel, queue: str, service: str, error: BaseException, now: datetime) -> Parcel:
    """Where a message goes that failed for a reason which may pass."""
    attempt = parcel.attempt + 1
    if attempt >= ATTEMPTS_MAX:
        return dead_letter(parcel, queue, service, error, now, attempt)
    return _handed_on(parcel, service, LADDER[attempt - 1], queue, attempt=attempt)


def postponed(parcel: Parcel, queue: str, service: str, *, asked: bool = True) -> Parcel:
    """Where a message goes whose effect the outside world could not give: it waits, and no attempt is counted.

    Not even asked, because the circuit was open, it waits briefly; if it still is, it then waits in its queue.
    """
    rung = LADDER[0] if parcel.postponed == 0 or not asked else LADDER[1]
    return _handed_on(parcel, service, rung, queue, postponed=parcel.postponed + 1)


def dead_letter(
    parcel: Parcel, queue: str, service: str, error: BaseException, now: datetime, attempt: int = 1
) -> Parcel:
    """The message as it was, with all that a person needs to judge it: error, trace, attempts, origin, when it died."""
    trace = "".join(traceback.format_exception(error))[-_TRACE_CHARS_MAX:]
    kind, died_at = type(error).__name__, now.isoformat(timespec="microseconds")
    why = {"error": f"{kind}: {error}"[:1_000], "error_type": kind, "trace": trace, "died_at": died_at}
    return _handed_on(parcel, service, DEAD, service, attempt=attempt, **why, origin_queue=queue)


def _handed_on(parcel: Parcel, service: str, exchange: str, routing_key: str, **headers: Any) -> Parcel:
    """With its origin. Headers of the ladder that its sender wrote give way, or they would count on the way back."""
    if not handed_back(parcel, service):
        own = {key: value for key, value in parcel.headers.items() if key not in HOP_HEADERS}
        parcel = replace(parcel, headers=own)
    return parcel.readdressed(exchange, routing_key, **Origin.of(parcel, service).headers(), **headers)
