"""Traces, sent to a collector that is there."""

from __future__ import annotations

import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from config import Config
from task_app import create_app, traces
from tests.support import accounts
from tests.support.server import ROOT, refusal

MINE = "followed-1"
REQUEST = "OTEL_EXPORTER_OTLP_ENDPOINT"


class Collector(ThreadingHTTPServer):
    """Takes OTLP over HTTP, and keeps what came."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.came: list[ExportTraceServiceRequest] = []
        self.paths: set[str] = set()

    def attributes(self) -> list[dict[str, Any]]:
        """Of every span, with its name and that of its service."""
        found = []
        for request in self.came:
            for group in request.resource_spans:
                service = plain(group.resource.attributes)["service.name"]
                for scope in group.scope_spans:
                    for span in scope.spans:
                        known = plain(span.attributes)
                        found.append({**known, "name": span.name, "service": service})
        return found


def plain(pairs: Any) -> dict[str, Any]:
    return {pair.key: pair.value.string_value or pair.value.int_value for pair in pairs}


class Handler(BaseHTTPRequestHandler):
    server: Collector

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.came.append(ExportTraceServiceRequest.FromString(body))
        self.server.paths.add(self.path)
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def collector() -> Iterator[Collector]:
    made = Collector()
    thread = threading.Thread(target=made.serve_forever)
    thread.start()
    yield made
    made.shutdown()
    thread.join()
    made.server_close()


def test_a_request_is_traced(start, collector: Collector, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    address = f"http://127.0.0.1:{collector.server_port}"
    server = start(tmp_path, OTEL_EXPORTER_OTLP_ENDPOINT=address)
    alice = accounts.register(server.url, "Alice")
    alice.rest.post("/tasks", {"title": "Traced"}, headers={"X-Request-ID": MINE})
    ticket = alice.rest.post("/ws/ticket").json()["ticket"]
    alice.rest.get(f"/tasks?ticket={ticket}")
    assert server.stop() == 0  # what is left is sent before the end
    assert "Traceback" not in server.log, server.log
    assert collector.paths == {"/v1/traces"}
    spans = collector.attributes()
    [mine] = [span for span in spans if span.get("request_id") == MINE]
    assert (mine["name"], mine["service"]) == ("POST /tasks", "task-server")
    assert any("INSERT" in span["name"] for span in spans), spans  # of the statements
    for secret in (ticket, alice.token, alice.refresh_token, accounts.PASSWORD):
        assert [span for span in spans if secret in str(span)] == []


@pytest.mark.parametrize("listens", [True, False])
def test_a_collector_that_is_gone(start, tmp_path: Path, listens: bool) -> None:  # type: ignore[no-untyped-def]
    """Whether it answers nothing or refuses: the server stops as fast as it promises."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        if not listens:
            silent.close()
        server = start(tmp_path, OTEL_EXPORTER_OTLP_ENDPOINT=f"http://127.0.0.1:{port}")
        accounts.register(server.url, "Alice")
        began = time.monotonic()
        assert server.stop() == 0
        assert time.monotonic() - began < traces.STOP_SECONDS + 2
        assert "Traceback" not in server.log, server.log


def test_an_endpoint_that_is_none(tmp_path: Path) -> None:
    code, said = refusal(tmp_path, OTEL_EXPORTER_OTLP_ENDPOINT="collector:4318")
    assert (code, said.count("\n")) == (1, 1) and said.startswith(REQUEST)


def test_without_the_packages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    app = create_app(Config({"INSTANCE_PATH": str(tmp_path)}, async_mode="threading"))
    monkeypatch.setitem(sys.modules, "opentelemetry.sdk.trace", None)  # as if not installed
    with pytest.raises(traces.TracesError, match=r"pip install -r requirements-otel\.txt\.$"):
        traces.start(app)


UNASKED = """
import sys
from config import Config
from task_app import bootstrap, create_app, traces
create_app(Config({"INSTANCE_PATH": sys.argv[1]}, async_mode="threading"))
ours = ("opentelemetry.instrumentation", "opentelemetry.exporter")  # redis takes the rest
print([name for name in sys.modules if name.startswith(ours)])
"""


def test_nothing_is_imported_where_nobody_asked(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", UNASKED, str(tmp_path)], cwd=ROOT, capture_output=True, text=True
    )
    assert (done.returncode, done.stdout) == (0, "[]\n"), done.stderr
