"""Traces, metrics and logs, without user content. Configured once per process by `server.py` or `deployment.py`.

Spans and metrics are OpenTelemetry's. They leave the process by OTLP (`OTEL_EXPORTER_OTLP_ENDPOINT`) or, for a demo and
for tests, as JSON lines in a folder (`ANTIPHON_TELEMETRY_DIR`); never by a port per replica. Attribute values are
names, numbers and enum values: no audio, no text, no user id.
"""

from __future__ import annotations

import json
import logging
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from opentelemetry import metrics, propagate, trace
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import (
    MetricExporter,
    MetricExportResult,
    MetricReader,
    MetricsData,
    PeriodicExportingMetricReader,
)
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.sampling import ParentBased, TraceIdRatioBased

_tracer = trace.get_tracer("antiphon")
_meter = metrics.get_meter("antiphon")

ADMISSIONS = _meter.create_counter("antiphon.admissions", "{call}", "Calls let in")
REFUSALS = _meter.create_counter("antiphon.refusals", "{call}", "Calls turned away, by reason")
ACTIVE_SESSIONS = _meter.create_up_down_counter("antiphon.active_sessions", "{session}", "Open streams")
CALL_SECONDS = _meter.create_histogram("antiphon.call.duration", "s", "Length of calls, by method and status")
ARM_CALLS = _meter.create_counter("antiphon.arm.calls", "{call}", "Calls to traffic arms, by status")
ARM_SECONDS = _meter.create_histogram("antiphon.arm.duration", "s", "Time in a traffic arm, by capability and arm")
SHADOW_FIGURES = _meter.create_histogram("antiphon.shadow.figure", "1", "Shadows against what was served, by figure")
STAGE_MISSES = _meter.create_counter("antiphon.stage.misses", "{stage}", "Stages late or left out, by what stood in")
TURN_STAGE_SECONDS = _meter.create_histogram("antiphon.turn.stage", "s", "Instants of a turn, from the end of speech")


@contextmanager
def server_span(name: str, metadata: Mapping[str, str], attributes: Mapping[str, str]) -> Iterator[trace.Span]:
    """The span of one RPC, child of the caller's `traceparent`; its context is current inside."""
    parent = propagate.extract(dict(metadata))
    with _tracer.start_as_current_span(
        name, parent, trace.SpanKind.SERVER, dict(attributes), record_exception=False, set_status_on_exception=False
    ) as span:
        yield span


def outgoing_trace() -> dict[str, str]:
    """W3C headers (`traceparent`) of the current span, for metadata of outgoing calls."""
    carrier: dict[str, str] = {}
    propagate.inject(carrier)
    return carrier


def configure(service: str, environment: Mapping[str, str] = os.environ) -> None:
    """Sets up exporters for this process; without an endpoint or a folder nothing is recorded or sent.

    Args:
        service: `service.name` of the resource, the pool's name.
        environment: `OTEL_EXPORTER_OTLP_ENDPOINT`, `ANTIPHON_TELEMETRY_DIR`, `ANTIPHON_TRACE_RATIO`
            (0..1, default 0.01).
    """
    folder = environment.get("ANTIPHON_TELEMETRY_DIR", "")
    endpoint = environment.get("OTEL_EXPORTER_OTLP_ENDPOINT", "")
    if not folder and not endpoint:
        return
    resource = Resource.create({"service.name": f"antiphon-{service}", "service.namespace": "antiphon"})
    spans, reader = _exporters(service, folder)
    ratio = float(environment.get("ANTIPHON_TRACE_RATIO", "0.01"))
    tracer_provider = TracerProvider(resource=resource, sampler=ParentBased(TraceIdRatioBased(ratio)))
    tracer_provider.add_span_processor(BatchSpanProcessor(spans, max_queue_size=4096, schedule_delay_millis=500))
    trace.set_tracer_provider(tracer_provider)
    metrics.set_meter_provider(MeterProvider(metric_readers=[reader], resource=resource))


def flush() -> None:
    """Exports what is pending; called before a process ends."""
    for provider in (trace.get_tracer_provider(), metrics.get_meter_provider()):
        force = getattr(provider, "force_flush", None)
        if force is not None:
            force()


def _exporters(service: str, folder: str) -> tuple[SpanExporter, MetricReader]:
    if folder:
        path = Path(folder) / f"{service}-{os.getpid()}"
        return (
            FileSpanExporter(path.with_suffix(".spans.jsonl")),
            PeriodicExportingMetricReader(FileMetricExporter(path.with_suffix(".metrics.jsonl")), 1000),
        )
    from opentelemetry.exporter.otlp.proto.grpc.metric_exporter import OTLPMetricExporter
    from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter

    return OTLPSpanExporter(), PeriodicExportingMetricReader(OTLPMetricExporter(), 15000)


class FileSpanExporter(SpanExporter):
    """Appends finished spans to a file, one JSON object a line."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        lines = [span.to_json(indent=None) + "\n" for span in spans]
        return SpanExportResult.SUCCESS if _append(self._path, lines) else SpanExportResult.FAILURE

    def shutdown(self) -> None:
        return None


class FileMetricExporter(MetricExporter):
    """Appends metric snapshots to a file, one JSON object a line."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self._path = path

    def export(self, metrics_data: MetricsData, timeout_millis: float = 10_000, **kwargs: object) -> MetricExportResult:
        line = json.dumps(json.loads(metrics_data.to_json())) + "\n"
        return MetricExportResult.SUCCESS if _append(self._path, [line]) else MetricExportResult.FAILURE

    def force_flush(self, timeout_millis: float = 10_000) -> bool:
        return True

    def shutdown(self, timeout_millis: float = 30_000, **kwargs: object) -> None:
        return None


def _append(path: Path, lines: Sequence[str]) -> bool:
    try:
        with path.open("a") as out:
            out.writelines(lines)
    except OSError:  # the folder of a finished run is gone: telemetry never breaks a service
        return False
    return True


def log(name: str) -> logging.Logger:
    """A logger under `antiphon`. Never pass it user audio or text."""
    return logging.getLogger(f"antiphon.{name}")


def now() -> float:
    """Monotonic seconds, the clock of every duration here."""
    return time.monotonic()
