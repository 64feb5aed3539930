"""Exemplars: an observation of a histogram names the trace in which it happened (OpenMetrics 1.0).

A scraper that asks for the OpenMetrics format receives them.
"""

_SAMPLED = frozenset("13579bdf")


def trace_exemplar(traceparent: str) -> dict[str, str] | None:
    """The trace id if the trace is sampled, so that the back end has the trace; else None.

    `traceparent`: W3C trace context in version 00, or empty. Bit 0 of its last field is the sampled flag.
    """
    if not traceparent or traceparent[-1] not in _SAMPLED:
        return None
    return {"trace_id": traceparent[3:35]}
