"""Traces by OpenTelemetry, for who has set OTEL_EXPORTER_OTLP_ENDPOINT.

The official packages, which read their other settings (OTEL_SERVICE_NAME, OTEL_TRACES_SAMPLER, …)
from the environment themselves.  A span for each request, and below it one for each statement
that SQLAlchemy runs; prepared statements go past SQLAlchemy and have none.  Nothing of this is
imported where it is not asked for.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from importlib import import_module
from typing import Any

from flask import Flask, request

from task_app import logs
from task_app.extensions import db

STOP_SECONDS = 2  # to send what is left; a collector that is gone kept a stop for 7.5
_stops: list[Callable[[], None]] = []


class TracesError(Exception):
    """Why there can be no traces, in one sentence for the operator."""


def start(app: Flask) -> None:
    """Trace the application from now on.  Raises `TracesError`."""
    try:
        exporter = import_module("opentelemetry.exporter.otlp.proto.http.trace_exporter")
        flask = import_module("opentelemetry.instrumentation.flask")
        sqlalchemy = import_module("opentelemetry.instrumentation.sqlalchemy")
        resources = import_module("opentelemetry.sdk.resources")
        sdk = import_module("opentelemetry.sdk.trace")
        export = import_module("opentelemetry.sdk.trace.export")
    except ImportError as error:
        raise TracesError(
            "OTEL_EXPORTER_OTLP_ENDPOINT is set but OpenTelemetry is not installed: "
            "pip install -r requirements-otel.txt."
        ) from error
    # What the environment says of the service goes before this.
    own = resources.Resource({"service.name": "task-server"})
    named = own.merge(resources.OTELResourceDetector().detect())
    provider = sdk.TracerProvider(resource=named, shutdown_on_exit=False)
    _stops.append(provider.shutdown)
    provider.add_span_processor(export.BatchSpanProcessor(exporter.OTLPSpanExporter()))
    flask.FlaskInstrumentor().instrument_app(
        app, tracer_provider=provider, request_hook=_name, response_hook=_hide_query
    )
    with app.app_context():
        engine = db.engine
    # It asks for less than SQLAlchemy 2.1, whose events are those of 2.0; a test sees its spans.
    instrument_statements = sqlalchemy.SQLAlchemyInstrumentor().instrument
    instrument_statements(engine=engine, tracer_provider=provider, skip_dep_check=True)


def stop() -> None:
    """Send what is left, if a collector takes it within `STOP_SECONDS`.  Nothing to do where
    there are no traces."""
    for shut_down in _stops:
        done = threading.Event()
        # In a thread: it waits for half a minute.
        threading.Thread(target=_end, args=(shut_down, done), daemon=True).start()
        done.wait(STOP_SECONDS)  # past its time `join` raises, under eventlet on Python 3.13


def _end(shut_down: Callable[[], None], done: threading.Event) -> None:
    try:
        shut_down()
    finally:
        done.set()


def _name(span: Any, environ: dict[str, Any]) -> None:
    """Tie the span to the log."""
    span.set_attribute("request_id", logs.request_id())


def _hide_query(span: Any, status: str, headers: Any) -> None:
    """A URL's query may hold a ticket.  Done last, over what the instrumentation has set."""
    for name in ("http.target", "url.path"):
        span.set_attribute(name, request.path)
    for name in ("http.url", "url.full", "url.query"):
        span.set_attribute(name, "")
