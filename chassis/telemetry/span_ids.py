"""Trace and span ids that derive from the ids of messages, and the W3C `traceparent` that carries them.

Derived ids make a message's trace context a function of its cause, so every copy of the message carries the
same bytes. An order's id finds its trace, because the trace id is the journey's correlation id.

Format of a traceparent: 00-<trace id, 32 hex>-<span id, 16 hex>-<flags, 2 hex>. Bit 0 of the flags says that
the trace is sampled (https://www.w3.org/TR/trace-context/#traceparent-header).
"""

from hashlib import blake2b

from chassis.messaging.identity import new_id

_TRACE = slice(3, 35)
_SPAN = slice(36, 52)
_ODD = frozenset("13579bdf")
_HEX = frozenset("0123456789abcdef")


def trace_id(correlation_id: str) -> str:
    """The trace id of a journey, in 32 hex digits: the digits of its UUID, or a hash of another name."""
    digits = correlation_id.replace("-", "").lower()
    if len(digits) == 32 and _HEX.issuperset(digits) and digits.strip("0"):
        return digits
    return _hash("trace", correlation_id, size=16)


def create_span_id(message_id: str) -> str:
    """The id of the span in which a message is created, in 16 hex digits."""
    return _hash("create", message_id)


def process_span_id(message_id: str, service: str, tries: int) -> str:
    """The id of the span in which a service processes a message. `tries`: how often it did before."""
    return _hash("process", f"{message_id}/{service}/{tries}")


def journey_span_id(correlation_id: str) -> str:
    """The id of the span in which a journey begins: the request that publishes its first command."""
    return _hash("journey", correlation_id)


def random_trace_id() -> str:
    return new_id().hex


def random_span_id() -> str:
    return new_id().hex[16:]


def traceparent(trace: str, span: str, *, sampled: bool = False) -> str:
    return f"00-{trace}-{span}-{'01' if sampled else '00'}"


def is_sampled(context: str) -> bool:
    """Whether a traceparent says that its trace is sampled. An empty one does not."""
    return context[-1:] in _ODD


def trace_of(context: str) -> str:
    """The trace id in a traceparent."""
    return context[_TRACE]


def span_of(context: str) -> str:
    """The span id in a traceparent."""
    return context[_SPAN]


def created_in(context: str, message_id: str) -> str:
    """The traceparent of a message that is created in the trace of `context`."""
    return f"00-{context[_TRACE]}-{create_span_id(message_id)}-{'01' if is_sampled(context) else '00'}"


def chosen(message_id: str, ratio: float) -> bool:
    """Whether a message without context begins a sampled trace: true for this share of all ids.

    The decision rests on a hash, because bits of a UUIDv7 are not random. It is the same at each redelivery.
    """
    return int(_hash("sample", message_id), 16) < ratio * 2**64


def _hash(purpose: str, name: str, size: int = 8) -> str:
    # All zeros are invalid as an id, but a hash is so with a probability of 1 in 2^64.
    return blake2b(name.encode(errors="replace"), digest_size=size, person=purpose.encode()).hexdigest()
