"""Traces, for an OpenTelemetry collector: one span per request, with the stages of an ask as its attributes.

Nothing of OpenTelemetry is imported unless the environment names a collector, as its specification has it:
OTEL_EXPORTER_OTLP_ENDPOINT or OTEL_EXPORTER_OTLP_TRACES_ENDPOINT. The SDK's other variables hold as well.
"""

import logging
import os
from contextvars import ContextVar
from typing import TYPE_CHECKING

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.answering import Answer
from service.labels import method_of, route_of

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.trace import Span

_ENDPOINTS = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")

_span: "ContextVar[Span | None]" = ContextVar("quoteline_span", default=None)


def start_tracing() -> "TracerProvider | None":
    """Return what sends traces to the collector that the environment names; None where it names none.

    Its `shutdown` sends what is left.
    """
    disabled = os.environ.get("OTEL_SDK_DISABLED", "").strip().lower() == "true"
    if disabled or not any(os.environ.get(name) for name in _ENDPOINTS):
        return None
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
    except ImportError as error:
        logging.getLogger("quoteline").warning(
            "no traces are sent, because %s is not installed; `pip install 'quoteline[tracing]'`", error.name
        )
        return None
    resource = Resource.create()
    if str(resource.attributes.get("service.name", "")).startswith("unknown_service"):
        resource = resource.merge(Resource({"service.name": "quoteline"}))
    # The lifespan shuts it down; a hook at exit would do so twice.
    provider = TracerProvider(resource=resource, shutdown_on_exit=False)
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    return provider


def trace_answer(answer: Answer) -> None:
    """Note the verdict and the time of each stage on the span of the request that is being served, if there is one."""
    span = _span.get()
    if span is None:
        return
    span.set_attribute("quoteline.verdict", answer.verdict)
    for stage, ms in answer.timings_ms.items():
        span.set_attribute(f"quoteline.{stage}_ms", ms)


class Tracing:
    """Middleware that gives each request a span, which continues the trace that a `traceparent` header names."""

    def __init__(self, app: ASGIApp, *, provider: "TracerProvider") -> None:
        from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

        self._app = app
        self._tracer = provider.get_tracer("quoteline")
        self._propagator = TraceContextTextMapPropagator()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        from opentelemetry.trace import SpanKind

        method = method_of(scope)
        context = self._propagator.extract(Headers(scope=scope))
        span = self._tracer.start_span(method, context, kind=SpanKind.SERVER)
        span.set_attribute("http.request.method", method)

        async def traced_send(message: Message) -> None:
            if message["type"] == "http.response.start":
                _note_status(span, message["status"])
            await send(message)

        token = _span.set(span)
        try:
            await self._app(scope, receive, traced_send)
        finally:
            _span.reset(token)
            # Only the router knows the route. A path would tell what was asked.
            span.update_name(f"{method} {route_of(scope)}")
            span.set_attribute("http.route", route_of(scope))
            span.end()


def _note_status(span: "Span", status: int) -> None:
    from opentelemetry.trace import StatusCode

    span.set_attribute("http.response.status_code", status)
    if status >= 500:
        span.set_status(StatusCode.ERROR)
