"""What the OpenAPI document names once and refers to: credentials, headers, parameters."""

from __future__ import annotations

from collections.abc import Mapping

from task_app.models.idempotency import KEY_LENGTH
from task_app.resources import sessions
from task_app.resources.outputs import Json

TOKEN, REFRESH, METRICS, SESSION = "bearerAuth", "refreshAuth", "metricsAuth", "sessionAuth"
SECURITY = {
    TOKEN: {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"},
    REFRESH: {"type": "http", "scheme": "bearer", "description": "The refresh token."},
    SESSION: {"type": "apiKey", "in": "cookie", "name": sessions.COOKIE},
    METRICS: {"type": "http", "scheme": "bearer", "description": "`METRICS_TOKEN`."},
}
HEADERS: Mapping[str, Json] = {
    "ETag": {
        "description": "Validator of this answer; of a task, its version.",
        "required": True,
        "schema": {"type": "string", "pattern": '^(W/)?"[^"]*"$'},
    },
    "X-Event-Seq": {
        "description": "The last event this answer knows of: subscribe from here.",
        "required": True,
        "schema": {"type": "integer", "minimum": 0},
    },
    "X-Event-Epoch": {
        "description": "Which log that number belongs to.",
        "required": True,
        "schema": {"type": "string"},
    },
    "Link": {
        "description": 'The next page (`rel="next"`), when there is one.',
        "schema": {"type": "string"},
    },
    "X-Unread-Count": {
        "description": "How many notifications have not been read, on any page.",
        "required": True,
        "schema": {"type": "integer", "minimum": 0},
    },
    "Idempotent-Replayed": {
        "description": "`true` on the kept answer of an earlier request with this key.",
        "schema": {"const": "true"},
    },
    "Retry-After": {"description": "Seconds.", "schema": {"type": "integer", "minimum": 0}},
    "WWW-Authenticate": {"schema": {"const": "Bearer"}},
}
HEADERS_OF_ERRORS = {401: ["WWW-Authenticate"], 429: ["Retry-After"], 503: ["Retry-After"]}
PARAMETERS: Mapping[str, Json] = {
    "Idempotency-Key": {
        "description": "A retry with the same key is answered like the first and does nothing.",
        "schema": {"type": "string", "minLength": 1, "maxLength": KEY_LENGTH, "pattern": "\\S"},
    },
    "If-Match": {
        "description": "Do it only if this is still the task's `ETag`; 412 otherwise.",
        "schema": {"type": "string"},
    },
    "If-None-Match": {
        "description": "An `ETag` that is held: 304 if the answer would be the same.",
        "schema": {"type": "string"},
    },
}
