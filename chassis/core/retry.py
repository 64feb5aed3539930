"""What happens to a message that could not be handled: the retry ladder, then the dead letters.

| what went wrong                          | what follows                                              |
|------------------------------------------|-----------------------------------------------------------|
| a business rule refuses it               | an event; nothing went wrong                              |
| malformed or forged                      | dead letter at once, with the reason                      |
| only another release can handle it       | every 5 s for a minute, then every minute for a day       |
| older than what is kept of its aggregate | dead letter at once, with the reason                      |
| the store refuses the effect's result    | dead letter at once, if a repetition would do harm        |
| a bug, a message out of turn, unroutable | 5 s, 1 min, 10 min, then a dead letter with the traceback |
| its consumer died over it, many times    | dead letter                                               |
| an external service does not respond     | 5 s, then every minute; no attempt is counted             |
| database or broker unavailable           | nothing is settled; consumption stops until it is back    |
"""

import traceback
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

from chassis.core.definition import ResultRefused, ServiceDefinition, TooOld
from chassis.core.other_release import OtherRelease
from chassis.messaging.envelope import BODY_SIZE, UNREADABLE, Malformed, WireMessage
from chassis.messaging.origin import HOP_HEADERS, Origin, handed_back
from chassis.messaging.senders import CLIENT, UNLISTED, UNVERIFIED
from chassis.messaging.untrusted import headers_bytes, shortened

# After so many returns the message is taken for the cause, see RETURNS_SUSPECT in chassis/bus/retry_ladder.py
RETURNS_MAX = 25
# How often a message waits for another release: 12 times 5 s, then a minute each, one day in all.
_SHORT_WAITS = 12
OTHER_RELEASE_WAITS_MAX = _SHORT_WAITS + 24 * 60
_TRACE_CHARS_MAX = 6_000
# A message's properties are one frame, and brokers allow frames of 128 KiB.
DEAD_LETTER_HEADERS_BYTES_MAX = 96 * 1024
LEFT_OUT = "headers_left_out"
_FEW = 120


class PoisonMessage(Exception):
    """The process of each consumer that received this message died before it settled it."""


def next_stop(
    wire_message: WireMessage, error: BaseException, *, queue: str, service: ServiceDefinition, now: datetime
) -> WireMessage:
    """Where a message goes that was not handled: to the retry ladder,
    or to the dead letters if trying again is no use.
    """
    match error:
        case TooOld() | ResultRefused():
            return dead_letter(wire_message, error, queue=queue, service=service, now=now)
        case OtherRelease():
            return _leave_to_other_release(wire_message, error, queue=queue, service=service, now=now)
        case _:
            return after_failure(wire_message, error, queue=queue, service=service, now=now)


def after_failure(
    wire_message: WireMessage, error: BaseException, *, queue: str, service: ServiceDefinition, now: datetime
) -> WireMessage:
    """Where a message goes that failed for a reason which may pass."""
    attempt = wire_message.attempt + 1
    ladder = service.retry_ladder
    if attempt >= ladder.attempts_max:
        return dead_letter(wire_message, error, queue=queue, service=service, now=now, attempt=attempt)
    return _with_route(
        wire_message,
        service,
        exchange=ladder.names[attempt - 1],
        routing_key=queue,
        headers={"attempt": attempt},
    )


def postpone(
    wire_message: WireMessage, *, queue: str, service: ServiceDefinition, tried: bool = True
) -> WireMessage:
    """Where a message goes whose effect was not available: it waits, and no attempt is counted.

    If the effect was not even tried, because the circuit was open or a copy of the message has the lease, the
    message waits briefly. If the circuit is still open then, the message waits in its queue.
    """
    first, *longer = service.retry_ladder.names
    rung = first if wire_message.postponed == 0 or not tried or not longer else longer[0]
    headers = {"postponed": wire_message.postponed + 1}
    return _with_route(wire_message, service, exchange=rung, routing_key=queue, headers=headers)


def _leave_to_other_release(
    wire_message: WireMessage, error: BaseException, *, queue: str, service: ServiceDefinition, now: datetime
) -> WireMessage:
    """Where a message goes that only another release of the service can handle.

    During a rolling update an instance of that release soon takes it, so the first pauses are short. No
    attempt is counted. A message that none has taken for a day becomes a dead letter.
    """
    waits = wire_message.postponed
    if waits >= OTHER_RELEASE_WAITS_MAX:
        return dead_letter(wire_message, error, queue=queue, service=service, now=now)
    first, *longer = service.retry_ladder.names
    rung = first if waits < _SHORT_WAITS or not longer else longer[0]
    return _with_route(
        wire_message, service, exchange=rung, routing_key=queue, headers={"postponed": waits + 1}
    )


def dead_letter(
    wire_message: WireMessage,
    error: BaseException,
    *,
    queue: str,
    service: ServiceDefinition,
    now: datetime,
    attempt: int = 1,
) -> WireMessage:
    """The message as it was, with all that a person needs to judge it: error, trace, attempts, origin,
    when it died.
    """
    trace = "".join(traceback.format_exception(error))[-_TRACE_CHARS_MAX:]
    why = _why(wire_message, error, queue=queue, service=service, now=now, attempt=attempt)
    why["trace"] = _encodable(trace)
    routing_key = _key(wire_message, service, error)
    exchange = service.catalog.names.dead
    dead = _with_route(wire_message, service, exchange=exchange, routing_key=routing_key, headers={})
    return replace(dead, headers=_fitting(dead.headers, beside=why) | why)


def smaller_dead_letters(
    wire_message: WireMessage, error: BaseException, *, queue: str, service: ServiceDefinition, now: datetime
) -> Iterator[WireMessage]:
    """Dead letters for a message that no broker took as it was: each keeps less of it than the one before."""
    attempt = wire_message.attempt + 1
    yield dead_letter(wire_message, error, queue=queue, service=service, now=now, attempt=attempt)
    why = _why(wire_message, error, queue=queue, service=service, now=now, attempt=attempt)
    why["error"] = why["error"][:_FEW]
    bare = WireMessage(
        exchange=service.catalog.names.dead,
        routing_key=_key(wire_message, service, error),
        body=wire_message.body,
        message_id=_short(wire_message.message_id),
        type=_short(wire_message.type),
        app_id=_short(wire_message.app_id),
        correlation_id=_short(wire_message.correlation_id),
        content_type=_short(wire_message.content_type),
        headers=why,
    )
    yield bare
    cut = {UNREADABLE: "only the beginning of its body is kept", BODY_SIZE: len(wire_message.body)}
    yield replace(bare, body=wire_message.body[:_FEW], headers=why | cut)


def _key(wire_message: WireMessage, service: ServiceDefinition, error: BaseException) -> str:
    """The routing key of a dead letter. What an untrusted sender got wrong goes to a queue of its own.

    However many there are, they never displace dead letters of other senders or with other causes. A sender
    decides alone whether its message is malformed, and, because it writes the time, whether it is too old.
    """
    role = service.catalog.role_of(Origin.of(wire_message, service.name).user)
    trusted = role not in (CLIENT, UNVERIFIED, UNLISTED)
    return service.rejected_queue if isinstance(error, Malformed | TooOld) and not trusted else service.name


def _why(
    wire_message: WireMessage,
    error: BaseException,
    *,
    queue: str,
    service: ServiceDefinition,
    now: datetime,
    attempt: int,
) -> dict[str, Any]:
    kind = type(error).__name__
    why = {
        "error": _encodable(f"{kind}: {error}"[:1_000]),
        "error_type": kind,
        "died_at": now.isoformat(timespec="microseconds"),
        "attempt": attempt,
        "origin_queue": queue,
    }
    return why | Origin.of(wire_message, service.name).headers()


def _with_route(
    wire_message: WireMessage,
    service: ServiceDefinition,
    *,
    exchange: str,
    routing_key: str,
    headers: Mapping[str, Any],
) -> WireMessage:
    """The message on another route, with its origin.

    Headers of the ladder that its sender wrote are dropped, because they would count on the way back.
    """
    if not handed_back(wire_message, service.name):
        own = {key: value for key, value in wire_message.headers.items() if key not in HOP_HEADERS}
        wire_message = replace(wire_message, headers=own)
    origin = Origin.of(wire_message, service.name).headers()
    routed = wire_message.with_route(exchange, routing_key)
    return replace(routed, headers={**routed.headers, **origin, **headers})


def _short(value: str | None) -> str | None:
    return shortened(value, _FEW) if value else None


def _encodable(text: str) -> str:
    """Without lone surrogates, which an error may repeat from a body: they cannot be encoded."""
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
