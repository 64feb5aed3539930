"""Switches tracing on for a process, by OpenTelemetry's standard variables.

| variable                                 | meaning                                        |
|------------------------------------------|------------------------------------------------|
| OTEL_EXPORTER_OTLP_(TRACES_)ENDPOINT     | the collector; without it tracing is off       |
| OTEL_EXPORTER_OTLP_(TRACES_)PROTOCOL     | `http/protobuf` (default) or `grpc`            |
| OTEL_TRACES_SAMPLER                      | `traceidratio`, `always_off`, or all (default) |
| OTEL_TRACES_SAMPLER_ARG                  | the share of new traces to sample, 0 to 1      |
| OTEL_SDK_DISABLED, OTEL_TRACES_EXPORTER  | `true` or `none` switches tracing off          |

The SDK reads the other OTEL_* variables itself (headers, certificates, queue, resource attributes). See
https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables/.
"""

import logging
import os
from collections.abc import Callable, Mapping

from chassis.telemetry import tracing
from chassis.telemetry.logs import log
from chassis.telemetry.program import program_version


def start_tracing(
    delayed_continue: bool = False, environ: Mapping[str, str] = os.environ
) -> Callable[[], None]:
    """Switch tracing on if the environment says so. Returns what stops it and exports the last spans."""
    tracing.STATE.delayed_continue = delayed_continue
    if not is_wanted(environ):
        return lambda: None
    from chassis.telemetry.otlp import OtlpRecorder, exporter_for  # imports the SDK

    # The recorder logs one line when the collector fails, and the SDK one for each batch.
    logging.getLogger("opentelemetry").setLevel(logging.CRITICAL)
    protocol = environ.get("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL") or environ.get("OTEL_EXPORTER_OTLP_PROTOCOL")
    recorder = OtlpRecorder(exporter_for(protocol or "http/protobuf"), program_version())
    tracing.STATE.ratio = sampling_ratio(environ)
    tracing.STATE.record = recorder

    def stop() -> None:
        tracing.STATE.ratio = 0.0
        tracing.STATE.record = None
        recorder.shutdown()

    return stop


def is_wanted(environ: Mapping[str, str]) -> bool:
    endpoint = environ.get("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT") or environ.get("OTEL_EXPORTER_OTLP_ENDPOINT")
    disabled = environ.get("OTEL_SDK_DISABLED", "").lower() == "true"
    return bool(endpoint) and not disabled and environ.get("OTEL_TRACES_EXPORTER", "otlp") != "none"


def sampling_ratio(environ: Mapping[str, str]) -> float:
    """The share of new traces to sample. A value that is no share counts as 1, as the specification says."""
    sampler = environ.get("OTEL_TRACES_SAMPLER", "").removeprefix("parentbased_")
    if sampler == "always_off":
        return 0.0
    if sampler != "traceidratio":
        return 1.0
    value = environ.get("OTEL_TRACES_SAMPLER_ARG", "1")
    try:
        ratio = float(value)
    except ValueError:
        ratio = -1.0
    if 0.0 <= ratio <= 1.0:
        return ratio
    log.warning("OTEL_TRACES_SAMPLER_ARG is no number between 0 and 1; all traces are sampled")
    return 1.0
