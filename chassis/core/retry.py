"""What happens to a message that could not be handled: the retry ladder, then the dead letter.

| what went wrong                          | answer                                                    |
|------------------------------------------|-----------------------------------------------------------|
| the business says no                     | an event; nothing went wrong                              |
| malformed, unknown type, forged          | dead letter at once, with the reason                      |
| older than what is kept of its aggregate | dead letter at once, with the reason                      |
| a bug, a message out of turn, unroutable | 5 s, 1 min, 10 min, then a dead letter with the traceback |
| its consumer died over it, many times   | dead letter                                               |
| the outside world does not answer        | 5 s, then every minute, uncounted: nobody's fault here    |
| database or broker away                  | nothing is settled; consumption stops until it is back    |
"""

import traceback
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

from chassis.core.definition import TooOld
from contracts.envelope import BODY_SIZE, UNREADABLE, Malformed, WireMessage
from contracts.origin import HOP_HEADERS, Origin, handed_back
from contracts.senders import CLIENT, NOBODY, OTHER, role_of
from contracts.untrusted import headers_bytes, shortened

LADDER = ("retry.5s", "retry.1m", "retry.10m")
LADDER_MS = {"retry.5s": 5_000, "retry.1m": 60_000, "retry.10m": 600_000}
ATTEMPTS_MAX = len(LADDER) + 1
DEAD, REJECTED = "dead", "rejected"
# Some deaths of a consumer are accidents. After these the bus delivers the suspects one at a time, so from then on a
# death counts only against the message that was in hand; after so many the message is taken for the cause.
RETURNS_SUSPECT, RETURNS_MAX = 3, 25
_TRACE_CHARS_MAX = 6_000
# A message's properties are one frame, and brokers allow frames of 128 KiB.
DEAD_LETTER_HEADERS_BYTES_MAX = 96 * 1024
LEFT_OUT = "headers_left_out"
_FEW = 120


class PoisonMessage(Exception):
    """Again and again the consumer that held this message did not live to settle it."""


def after_failure(
    wire_message: WireMessage, queue: str, service: str, error: BaseException, now: datetime
) -> WireMessage:
    """Where a message goes that failed for a reason which may pass."""
    attempt = wire_message.attempt + 1
    if attempt >= ATTEMPTS_MAX:
        return dead_letter(wire_message, queue, service, error, now, attempt)
    return _handed_on(wire_message, service, LADDER[attempt - 1], queue, attempt=attempt)


def postpone(wire_message: WireMessage, queue: str, service: str, *, asked: bool = True) -> WireMessage:
    """Where a message goes whose effect the outside world could not give: it waits, and no attempt is counted.

    Not even asked, because the circuit was open, it waits briefly; if it still is, it then waits in its queue.
    """
    rung = LADDER[0] if wire_message.postponed == 0 or not asked else LADDER[1]
    return _handed_on(wire_message, service, rung, queue, postponed=wire_message.postponed + 1)


def dead_letter(
    wire_message: WireMessage, queue: str, service: str, error: BaseException, now: datetime, attempt: int = 1
) -> WireMessage:
    """The message as it was, with all that a person needs to judge it: error, trace, attempts, origin, when it died."""
    trace = "".join(traceback.format_exception(error))[-_TRACE_CHARS_MAX:]
    why = _why(wire_message, queue, service, error, now, attempt) | {"trace": _encodable(trace)}
    letter = _handed_on(wire_message, service, DEAD, _key(wire_message, service, error))
    return replace(letter, headers=_fitting(letter.headers, beside=why) | why)


def smaller_dead_letters(
    wire_message: WireMessage, queue: str, service: str, error: BaseException, now: datetime
) -> Iterator[WireMessage]:
    """Dead letters for a message that no broker took as it was: each keeps less of it than the one before."""
    attempt = wire_message.attempt + 1
    yield dead_letter(wire_message, queue, service, error, now, attempt)
    why = _why(wire_message, queue, service, error, now, attempt)
    why = why | {"error": why["error"][:_FEW]}
    names: Any = {
        name: shortened(value, _FEW) if (value := getattr(wire_message, name)) else None
        for name in ("message_id", "type", "app_id", "correlation_id", "content_type")
    }
    bare = WireMessage(DEAD, _key(wire_message, service, error), wire_message.body, headers=why, **names)
    yield bare
    cut = {UNREADABLE: "only the beginning of its body is kept", BODY_SIZE: len(wire_message.body)}
    yield replace(bare, body=wire_message.body[:_FEW], headers=why | cut)


def _key(wire_message: WireMessage, service: str, error: BaseException) -> str:
    """Under which key a dead letter is published. What a stranger sent in vain goes to a queue of its own.

    However many there are, they never displace dead letters of other senders or with other causes. A sender decides
    alone whether its message is malformed, and, because it writes the time, whether it is too old.
    """
    trusted = role_of(Origin.of(wire_message, service).user) not in (CLIENT, NOBODY, OTHER)
    return f"{service}.{REJECTED}" if isinstance(error, Malformed | TooOld) and not trusted else service


def _why(
    wire_message: WireMessage, queue: str, service: str, error: BaseException, now: datetime, attempt: int
) -> dict[str, Any]:
    kind = type(error).__name__
    why = {
        "error": _encodable(f"{kind}: {error}"[:1_000]),
        "error_type": kind,
        "died_at": now.isoformat(timespec="microseconds"),
        "attempt": attempt,
        "origin_queue": queue,
    }
    return why | Origin.of(wire_message, service).headers()


def _handed_on(wire_message: WireMessage, service: str, exchange: str, routing_key: str, **headers: Any) -> WireMessage:
    """With its origin. Headers of the ladder that its sender wrote give way, or they would count on the way back."""
    if not handed_back(wire_message, service):
        own = {key: value for key, value in wire_message.headers.items() if key not in HOP_HEADERS}
        wire_message = replace(wire_message, headers=own)
    return wire_message.with_route(exchange, routing_key, **Origin.of(wire_message, service).headers(), **headers)


def _encodable(text: str) -> str:
    """Lone surrogates, which an error may repeat from a body, have no bytes."""
    return text.encode(errors="replace").decode()


def _fitting(headers: Mapping[str, Any], beside: Mapping[str, Any]) -> dict[str, Any]:
    """The headers that fit into one frame beside these, the smallest first; and how many do not."""
    kept: dict[str, Any] = {}
    room = DEAD_LETTER_HEADERS_BYTES_MAX - headers_bytes(beside)
    for key, value in sorted(headers.items(), key=lambda item: headers_bytes(dict([item]))):
        room -= headers_bytes({key: value})
        if room < 0:
            return kept | {LEFT_OUT: len(headers) - len(kept)}
        kept[key] = value
    return kept
