"""The metrics of this process, in the format that the scraper asks for."""

from collections.abc import Iterator
from copy import copy

from prometheus_client import REGISTRY
from prometheus_client.exposition import choose_encoder
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from chassis.telemetry.instruments import DEFAULT_PREFIX

_OPEN_METRICS = "application/openmetrics-text;version=1.0.0"


class Exposition:
    """`prefix` replaces DEFAULT_PREFIX in the names of our own metrics.

    Names of the semantic conventions, and those of prometheus_client's collectors, stay.
    """

    def __init__(self, prefix: str = DEFAULT_PREFIX, registry: Collector = REGISTRY) -> None:
        self._source = registry if prefix == DEFAULT_PREFIX else _Renamed(registry, prefix)

    def expose(self, accept: str = "") -> tuple[bytes, str]:
        """The metrics and their media type.

        `accept`: the Accept header. OpenMetrics, which has exemplars, if it names that; else Prometheus' text
        format.
        """
        # Never the header itself: the encoder repeats a version that it finds there.
        encode, media_type = choose_encoder(_OPEN_METRICS if "application/openmetrics-text" in accept else "")
        return encode(self._source), media_type


class _Renamed(Collector):
    def __init__(self, source: Collector, prefix: str) -> None:
        self._source = source
        self._prefix = prefix

    def collect(self) -> Iterator[Metric]:
        for found in self._source.collect():
            if found.name.startswith(f"{DEFAULT_PREFIX}_"):
                renamed = copy(found)
                renamed.name = self._rename(found.name)
                renamed.samples = [each._replace(name=self._rename(each.name)) for each in found.samples]
                yield renamed
            else:
                yield found

    def _rename(self, name: str) -> str:
        return self._prefix + name.removeprefix(DEFAULT_PREFIX)
