"""Tracing off, and a collector that is dead or never responds: services do not notice."""

import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import pytest
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult

from chassis.telemetry import tracing
from chassis.telemetry.otlp import FLUSH_S_MAX, OtlpRecorder
from chassis.telemetry.tracing import Span
from chassis.telemetry.tracing_setup import is_wanted, sampling_ratio, start_tracing
from journey.devenv.infra.ports import free_ports

ENDPOINT = "OTEL_EXPORTER_OTLP_ENDPOINT"
QUEUE_MAX = 2048


@contextmanager
def silent_collector() -> Iterator[str]:
    """Accepts every connection and never responds."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        held: list[socket.socket] = []

        def accept() -> None:
            while True:
                try:
                    held.append(listening.accept()[0])
                except OSError:
                    return

        threading.Thread(target=accept, daemon=True).start()
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"
    for connection in held:
        connection.close()


def record(count: int) -> float:
    """Record spans. Returns the seconds that it took."""
    began = time.perf_counter()
    for number in range(count):
        Span("order_svc", "process", "consumer", trace_id="a" * 32, span_id=f"{number + 1:016x}").end()
    return time.perf_counter() - began


def stop_duration(monkeypatch: pytest.MonkeyPatch, endpoint: str, count: int) -> tuple[float, float]:
    """The seconds of recording `count` spans, and those of the stop."""
    monkeypatch.setenv(ENDPOINT, endpoint)
    stop = start_tracing()
    try:
        recording_s = record(count)
        time.sleep(1.5)  # the export has begun
    finally:
        began = time.perf_counter()
        stop()
    return recording_s, time.perf_counter() - began


def test_without_an_endpoint_the_sdk_is_not_imported() -> None:
    code = (
        "import sys, chassis.application, chassis.telemetry.tracing_setup as s; s.start_tracing();"
        "print([m for m in sys.modules if m.startswith(('opentelemetry.sdk', 'grpc', 'opentelemetry.exp'))])"
    )
    environment = {name: value for name, value in os.environ.items() if not name.startswith("OTEL_")}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, check=True)
    assert done.stdout.strip() == b"[]"


@pytest.mark.parametrize(
    ("environ", "wanted"),
    [
        ({}, False),
        ({ENDPOINT: "http://collector:4318"}, True),
        ({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://collector:4318/v1/traces"}, True),
        ({ENDPOINT: "http://collector:4318", "OTEL_SDK_DISABLED": "true"}, False),
        ({ENDPOINT: "http://collector:4318", "OTEL_TRACES_EXPORTER": "none"}, False),
    ],
)
def test_the_endpoint_switches_tracing_on(environ: dict[str, str], wanted: bool) -> None:
    assert is_wanted(environ) is wanted


@pytest.mark.parametrize(
    ("sampler", "argument", "ratio"),
    [
        ("", "0.1", 1.0),
        ("always_off", "", 0.0),
        ("traceidratio", "0.01", 0.01),
        ("parentbased_traceidratio", "0.5", 0.5),
        ("traceidratio", "many", 1.0),
        ("traceidratio", "7", 1.0),
    ],
)
def test_the_standard_variables_set_the_ratio(sampler: str, argument: str, ratio: float) -> None:
    environ = {"OTEL_TRACES_SAMPLER": sampler, "OTEL_TRACES_SAMPLER_ARG": argument}
    assert sampling_ratio(environ) == ratio


def test_a_silent_collector_delays_neither_recording_nor_the_stop(monkeypatch: pytest.MonkeyPatch) -> None:
    with silent_collector() as endpoint:
        recording_s, stop_s = stop_duration(monkeypatch, endpoint, 5 * QUEUE_MAX)
    assert recording_s / (5 * QUEUE_MAX) < 0.001
    assert stop_s < 0.5 * FLUSH_S_MAX


def test_a_dead_collector_does_not_delay_the_stop(monkeypatch: pytest.MonkeyPatch) -> None:
    [port] = free_ports(1)
    _, stop_s = stop_duration(monkeypatch, f"http://127.0.0.1:{port}", 5 * QUEUE_MAX)
    assert stop_s < 0.5 * FLUSH_S_MAX


class HeldExporter(SpanExporter):
    """Counts the spans that it gets; the first export ends when it is released."""

    def __init__(self) -> None:
        self.released = threading.Event()
        self.count = 0

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        self.count += len(spans)
        self.released.wait(30)
        return SpanExportResult.SUCCESS


def test_unexported_spans_are_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    exporter = HeldExporter()
    recorder = OtlpRecorder(exporter, "1")
    monkeypatch.setattr(tracing.STATE, "record", recorder)
    record(10 * QUEUE_MAX)
    exporter.released.set()
    recorder.flush()
    assert QUEUE_MAX <= exporter.count <= 2 * QUEUE_MAX
    recorder.shutdown()
