"""Exports spans over OTLP with OpenTelemetry's SDK. Only processes with an endpoint import this module.

The SDK batches in a thread of its own, with a bounded queue (OTEL_BSP_* variables); spans that find it full
are dropped. So the state of the collector never slows down the recording of a span.
"""

import threading
import time
from collections.abc import Mapping, Sequence

from opentelemetry.sdk.resources import OTELResourceDetector, Resource
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import Link, SpanContext, SpanKind, Status, StatusCode, TraceFlags

from chassis.messaging.identity import new_id
from chassis.telemetry import span_ids
from chassis.telemetry.logs import log
from chassis.telemetry.tracing import Span

# A stop waits so long for the last spans, and not at all for a collector that is silent already.
FLUSH_S_MAX = 1.0
_SILENT_AFTER_S = 1.0
_KINDS = {kind.name.lower(): kind for kind in SpanKind}
_SAMPLED = TraceFlags(TraceFlags.SAMPLED)
_SCOPE = InstrumentationScope("chassis")
_FAILED = Status(StatusCode.ERROR)
_UNSET = Status()


def exporter_for(protocol: str) -> SpanExporter:
    """The SDK's exporter; it reads the OTEL_EXPORTER_OTLP_* variables itself."""
    if protocol == "grpc":
        from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter as GrpcExporter

        return GrpcExporter()
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter as HttpExporter

    return HttpExporter()


class OtlpRecorder:
    """Turns each ended span of the process into one of the SDK's, with the ids that it has."""

    def __init__(self, exporter: SpanExporter, version: str) -> None:
        self._exporter = _LoggedExporter(exporter)
        self._processor = BatchSpanProcessor(self._exporter)
        self._process = {"service.version": version, "service.instance.id": str(new_id())}
        self._resources: dict[str, Resource] = {}

    def __call__(self, span: Span) -> None:
        trace = span.trace_id
        self._processor.on_end(
            ReadableSpan(
                span.name,
                context=_context(trace, span.span_id, is_remote=False),
                parent=_context(trace, span.parent_id, is_remote=True) if span.parent_id else None,
                resource=self._resources.get(span.service) or self._resource(span.service),
                attributes=span.attributes,
                links=[Link(_linked(link)) for link in span.links],
                kind=_KINDS[span.kind],
                instrumentation_scope=_SCOPE,
                status=_FAILED if span.error else _UNSET,
                start_time=span.start_ns,
                end_time=span.end_ns,
            )
        )

    def flush(self) -> None:
        """Export what waits; blocks until the collector has answered."""
        self._processor.force_flush()

    def shutdown(self) -> None:
        """Export what waits, if the collector answers, for at most FLUSH_S_MAX seconds."""
        patience_s = 0.0 if self._exporter.silent else FLUSH_S_MAX
        stopping = threading.Thread(target=self._processor.shutdown, daemon=True)
        stopping.start()
        stopping.join(patience_s)

    def _resource(self, service: str) -> Resource:
        """OTEL_SERVICE_NAME and OTEL_RESOURCE_ATTRIBUTES take precedence over our own values."""
        own: Mapping[str, str] = {"service.name": service, **self._process}
        resource = Resource.create(own).merge(OTELResourceDetector().detect())
        self._resources[service] = resource
        return resource


class _LoggedExporter(SpanExporter):
    """Logs once when the collector stops answering, and once when it answers again."""

    def __init__(self, exporter: SpanExporter) -> None:
        self._exporter = exporter
        self._failing = False
        self._since: float | None = None

    @property
    def silent(self) -> bool:
        """Whether the last export failed, or the present one takes long."""
        since = self._since
        return self._failing or (since is not None and time.monotonic() - since > _SILENT_AFTER_S)

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        self._since = time.monotonic()
        try:
            result = self._exporter.export(spans)
        except Exception as error:
            log.debug("export of spans failed", error=type(error).__name__)
            result = SpanExportResult.FAILURE
        self._since = None
        failing = result is not SpanExportResult.SUCCESS
        if failing and not self._failing:
            log.warning("the collector takes no spans; they are dropped until it does", spans=len(spans))
        elif self._failing and not failing:
            log.info("the collector takes spans again")
        self._failing = failing
        return result

    def shutdown(self) -> None:
        self._exporter.shutdown()


def _context(trace: str, span: str, *, is_remote: bool) -> SpanContext:
    return SpanContext(int(trace, 16), int(span, 16), is_remote, trace_flags=_SAMPLED)


def _linked(context: str) -> SpanContext:
    flags = _SAMPLED if span_ids.is_sampled(context) else TraceFlags()
    trace = int(span_ids.trace_of(context), 16)
    span = int(span_ids.span_of(context), 16)
    return SpanContext(trace, span, is_remote=True, trace_flags=flags)
