"""Spans of a process, without OpenTelemetry's SDK unless traces are exported.

The decision to sample a trace is made once, where it begins, and carried in the flag of `traceparent`. Spans
of a sampled trace are recorded when they end, with the ids and times that they were given; the recorder (see
chassis.telemetry.otlp) hands them to the SDK. Nothing is recorded of other traces.
"""

import random
import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from contextvars import ContextVar, Token
from dataclasses import dataclass, field
from types import TracebackType
from typing import Literal, Self

from chassis.telemetry import span_ids
from chassis.telemetry.semantic_conventions import ERROR_TYPE

SpanKind = Literal["internal", "server", "client", "producer", "consumer"]
Attribute = str | int | float | bool


@dataclass(slots=True)
class Span:
    """One span; times in nanoseconds since 1970. `links`: traceparents. Without `sampled` it only has ids.

    As a context manager it is the current span of its block, and ends with it.
    """

    service: str
    name: str
    kind: SpanKind
    trace_id: str
    span_id: str
    parent_id: str = ""
    sampled: bool = True
    start_ns: int = field(default_factory=time.time_ns)
    end_ns: int = 0
    attributes: dict[str, Attribute] = field(default_factory=dict)
    links: list[str] = field(default_factory=list)
    error: bool = False
    _token: "Token[Span | None] | None" = None

    @property
    def traceparent(self) -> str:
        return span_ids.traceparent(self.trace_id, self.span_id, sampled=self.sampled)

    def child(self, name: str, kind: SpanKind, attributes: Mapping[str, Attribute] | None = None) -> "Span":
        """A span that begins now, with this one as its parent."""
        return Span(
            self.service,
            name,
            kind,
            trace_id=self.trace_id,
            span_id=span_ids.random_span_id(),
            parent_id=self.span_id,
            sampled=self.sampled,
            attributes=dict(attributes or {}),
        )

    def fail(self, error_type: str) -> None:
        """Mark as failed. Texts of errors are left out: they may repeat what a client sent."""
        self.error = True
        self.attributes[ERROR_TYPE] = error_type

    def end(self, at_ns: int = 0) -> None:
        self.end_ns = at_ns or time.time_ns()
        if self.sampled and STATE.record is not None:
            STATE.record(self)

    def __enter__(self) -> Self:
        self._token = _CURRENT.set(self)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._token is not None
        _CURRENT.reset(self._token)
        if kind is not None and not self.error:
            self.fail(kind.__name__)
        self.end()


@dataclass(slots=True)
class TracingState:
    """How this process traces. `ratio`: the share of new traces to sample. `record`: None while it is off.

    `delayed_continue`: handle delayed messages in the trace of their journey, and not in a linked one.
    """

    ratio: float = 0.0
    delayed_continue: bool = False
    record: Callable[[Span], None] | None = None

    def decide(self) -> bool:
        """Whether to sample a trace that begins now; random, because a client may choose ids."""
        return self.ratio > 0 and _CHANCE.random() < self.ratio

    def chooses(self, message_id: str) -> bool:
        """Whether to sample the trace that a message without context begins; the same at each delivery."""
        return self.ratio > 0 and span_ids.chosen(message_id, self.ratio)


_CHANCE = random.Random()  # of its own, so that tracing changes no other random choice
STATE = TracingState()
_CURRENT: ContextVar[Span | None] = ContextVar("current_span", default=None)
_NOTHING = nullcontext()


def current() -> Span | None:
    """The span of the current request or effect, sampled or not; None outside of these."""
    return _CURRENT.get()


def current_ids() -> dict[str, str]:
    """`trace_id` and `span_id` of the current span, for log lines; empty outside of requests and effects."""
    span = _CURRENT.get()
    return {} if span is None else {"trace_id": span.trace_id, "span_id": span.span_id}


def child_span(
    name: str, kind: SpanKind, attributes: Mapping[str, Attribute] | None = None
) -> AbstractContextManager[Span | None]:
    """A child of the current span, current in its block; None if there is no sampled one."""
    span = _CURRENT.get()
    return _NOTHING if span is None or not span.sampled else span.child(name, kind, attributes)


def describe(attributes: Mapping[str, Attribute]) -> None:
    """Mark the current span as a request to another system, with these attributes, if it is sampled."""
    span = _CURRENT.get()
    if span is not None and span.sampled:
        span.kind = "client"
        span.attributes |= attributes


def server_span(service: str, context: str, *, has_caller: bool) -> Span:
    """The span of a request in the trace of `context`. `has_caller`: its parent is the span of `context`."""
    return Span(
        service,
        "",
        "server",
        trace_id=span_ids.trace_of(context),
        span_id=span_ids.random_span_id(),
        parent_id=span_ids.span_of(context) if has_caller else "",
        sampled=span_ids.is_sampled(context),
    )


def is_sampled() -> bool | None:
    """Whether the trace of the current request or effect is sampled; None outside of these."""
    span = _CURRENT.get()
    return None if span is None else span.sampled


def join_journey(correlation_id: str, *, begins: bool = False, sampled: bool | None = None) -> str:
    """The context for a message that the current request sends: the trace is the journey's.

    The request's span moves into that trace, and is linked to the one that it was in. `begins`: the request
    begins the journey, so its span is the one that reminders of the journey link to. `sampled`: whether the
    journey's trace is sampled, if that is known; a request that was decided about otherwise stays in its own
    trace.
    """
    trace = span_ids.trace_id(correlation_id)
    span = _CURRENT.get()
    if span is None or sampled not in (None, span.sampled):
        root = span_ids.journey_span_id(correlation_id)
        return span_ids.traceparent(trace, root, sampled=STATE.decide() if sampled is None else sampled)
    if span.trace_id != trace:
        span.links.append(span.traceparent)
        span.trace_id = trace
        span.parent_id = ""
        if begins:
            span.span_id = span_ids.journey_span_id(correlation_id)
    return span.traceparent
