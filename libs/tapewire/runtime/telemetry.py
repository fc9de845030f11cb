"""OpenTelemetry traces to an OTLP collector, if one is configured.

Use `span`: without a collector it yields None and costs nothing. The trace context crosses NATS and
HTTP as a `traceparent`.
"""

import contextlib
from collections.abc import Iterator, Mapping
from typing import Any

from opentelemetry import trace
from opentelemetry.trace import Span, SpanKind
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

_propagator = TraceContextTextMapPropagator()
_tracer: trace.Tracer | None = None


def configure_tracing(service: str, endpoint: str) -> None:
    """Send traces to the collector at `endpoint` (OTLP over HTTP); tracing is off if it is
    empty."""
    global _tracer
    if not endpoint:
        return
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    provider = TracerProvider(resource=Resource.create({"service.name": f"tapewire-{service}"}))
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    trace.set_tracer_provider(provider)
    _tracer = provider.get_tracer("tapewire")


def shutdown() -> None:
    """Send buffered spans. Call it at the end of the process."""
    provider = trace.get_tracer_provider()
    if _tracer is not None and hasattr(provider, "shutdown"):
        provider.shutdown()


@contextlib.contextmanager
def span(
    name: str,
    *,
    kind: SpanKind = SpanKind.INTERNAL,
    parent: str | None = None,
    attributes: Mapping[str, Any] | None = None,
) -> Iterator[Span | None]:
    """A span around the block; None if tracing is off. `parent` is a remote traceparent."""
    if _tracer is None:
        yield None
        return
    context = _propagator.extract({"traceparent": parent}) if parent else None
    with _tracer.start_as_current_span(
        name, context=context, kind=kind, attributes=attributes
    ) as started:
        yield started


def is_tracing() -> bool:
    """Whether spans are recorded. Check it where even calling `span` for every event costs too
    much."""
    return _tracer is not None


def traceparent() -> str | None:
    """The traceparent of the current span; None outside a span."""
    if _tracer is None:
        return None
    carrier: dict[str, str] = {}
    _propagator.inject(carrier)
    return carrier.get("traceparent")
