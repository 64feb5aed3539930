"""Counts how the lookups of the aggregate cache end."""

from prometheus_client import Counter

from chassis.telemetry import metrics


class CacheLookups:
    """The lookups of one service."""

    def __init__(self, service: str) -> None:
        self._service = service
        self._counters: dict[tuple[str, str], Counter] = {}

    def count(self, kind: str, **aggregates: int) -> None:
        """`aggregates`: how many of the lookups ended with `hit`, `miss`, `new` or `bypassed`."""
        for result, number in aggregates.items():
            if number:
                self._counter(kind, result).inc(number)

    def _counter(self, kind: str, result: str) -> Counter:
        found = self._counters.get((kind, result))
        if found is None:
            found = metrics.CACHE_LOOKUPS.labels(self._service, kind, result)
            self._counters[kind, result] = found
        return found
