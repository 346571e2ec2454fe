"""What Prometheus is told (`/metrics`)."""

from __future__ import annotations

from functools import cache

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

REGISTRY = CollectorRegistry()

REQUESTS = Histogram(
    "task_http_request_seconds",
    "Time a request took",
    ("method", "rule", "status"),
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1, 5),
    registry=REGISTRY,
)
COMMANDS = Counter(
    "task_commands_total", "Commands and how they ended", ("command", "status"), registry=REGISTRY
)
COMMITS = Counter("task_commits_total", "Commits; writers may share one", registry=REGISTRY)
EVENTS = Counter("task_events_total", "Events logged", ("type",), registry=REGISTRY)
FANOUT = Histogram(
    "task_fanout_seconds",
    "Time to hand one event to all its subscribers",
    buckets=(0.0001, 0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5),
    registry=REGISTRY,
)
LAG = Gauge("task_relay_lag_events", "Events logged but not yet relayed here", registry=REGISTRY)
SOCKETS = Gauge("task_sockets", "Open connections", registry=REGISTRY)
PROCESS = Gauge(
    "task_process_info", "Which of a database's processes this is", ("id",), registry=REGISTRY
)
SIGNED_IN = Gauge("task_signed_in", "Open connections that get broadcasts", registry=REGISTRY)
PENDING = Gauge(
    "task_pending_messages", "Messages not yet written to sockets and streams", registry=REGISTRY
)


# To find the counter of some labels costs more than to count.
request_timer = cache(REQUESTS.labels)
command_counter = cache(COMMANDS.labels)
event_counter = cache(EVENTS.labels)
