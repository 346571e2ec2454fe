"""The OpenAPI 3.1 document, made from the URL table, the commands and their schemas.

Nothing is told twice: which command stands behind a method is what its resource runs; what comes
in is the command's schema; which errors can come is what docstrings say ("Raises 403, 404") and
what follows from the command itself; the summary is the first sentence of a docstring.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from apispec import APISpec
from werkzeug.http import HTTP_STATUS_CODES

from task_app.commands import COMMANDS, Command
from task_app.dialects import Dialect
from task_app.resources import board, monitoring, outputs, streams
from task_app.resources.base import DIALECTS
from task_app.resources.components import (
    HEADERS,
    HEADERS_OF_ERRORS,
    METRICS,
    PARAMETERS,
    REFRESH,
    SECURITY,
    SESSION,
    TOKEN,
)
from task_app.resources.inputs import Plugin, one_line
from task_app.resources.outputs import Json
from task_app.schemas.task import PageQuery
from task_app.version import VERSION

METHODS = ("get", "post", "put", "patch", "delete")
DESCRIPTION = """\
Tasks that everybody who may see them sees change at once.

The same operations are mounted under three prefixes. The prefix picks the **dialect**: the names
of keys and the spelling of words in answers. On the way in every dialect is understood under
every prefix, and a slash at the end of a path does not matter.

| prefix | dialect |
|---|---|
| none | `native` |
| `/api` | `channels` |
| `/api/v1` | `fiber` |

Get a token with `POST /login` and send it as `Authorization: Bearer …` (`Token …` is understood).
`GET` answers `HEAD` as well."""
GROUPS = {
    "task": "Tasks",
    "user": "Accounts",
    "notification": "Notifications",
    "person": "Accounts",
    "activity": "Tasks",
}
SERVER = "Server"
# What the resources that run no command answer; the schema of the body for each status.
PLAIN: Mapping[type, Mapping[int, str]] = {
    monitoring.HealthResource: {200: "Health"},
    monitoring.ReadyResource: {200: "Health", 503: "Health"},
}


@dataclass(frozen=True)
class Operation:
    """One method of one URL under one prefix, and the command that stands behind it."""

    resource: Any
    method: str
    url: str
    dialect: Dialect
    name: str
    command: Command

    @property
    def targets(self) -> list[str]:
        """The path's parameters."""
        return re.findall(r"<int:(\w+)>", self.url)

    @property
    def has_fields(self) -> bool:
        return bool(self.command.schema.fields)

    @property
    def has_body(self) -> bool:
        return self.has_fields and self.method not in ("get", "delete") and not self.by_cookie

    @property
    def by_cookie(self) -> bool:
        return self.method in self.resource.by_cookie[1]

    @property
    def keeps_answer(self) -> bool:
        """Whether it takes an idempotency key (see `commands._idempotency_key`)."""
        command = self.command
        return not (command.reads or command.prepare or command.public or self.by_cookie)

    @property
    def conditional(self) -> bool:
        """Whether it can answer 304."""
        return self.method == "get" and bool(self.command.fresh or self.command.shape == "task")

    @cached_property
    def codes(self) -> list[int]:
        """The errors that can come."""
        told = f"{self.command.action.__doc__} {getattr(self.command.prepare, '__doc__', '')}"
        codes = {int(code) for code in re.findall(r"\b4\d\d\b", told)} | {503}
        codes |= {400} if self.has_fields or self.keeps_answer else set()
        codes |= {413, 415} if self.has_body else set()
        codes |= {414} if self.has_fields and self.method in ("get", "delete") else set()
        codes |= {422} if self.keeps_answer else set()
        codes |= {404} if self.targets else set()
        codes |= set() if self.command.public else {401}
        codes |= {403} if self.resource.by_cookie[0] else set()
        codes |= {429} if self.resource.method_decorators else set()
        return sorted(codes)

    def describe(self, converter: Any) -> Json:
        found = {
            "tags": [_tag(self.name.partition(".")[0], self.dialect)],
            "summary": self._summary(),
            "description": f"`{self.name}`, answered in the {self.dialect.name} dialect.",
            "parameters": self._parameters(converter),
            "responses": self._responses(),
            "security": [{TOKEN: []}],
        }
        if self.command.public:
            # The one public resource whose body may be left out takes its token in the header.
            found["security"] = [{REFRESH: []}, {}] if self.resource.optional_body else []
        if self.by_cookie:
            found["security"] = [{SESSION: []}]
        if self.has_body:
            schema = converter.resolve_nested_schema(self.command.schema)
            found["requestBody"] = {
                "required": not self.resource.optional_body,
                "content": _json(schema),
            }
        return found

    def _summary(self) -> str:
        own = getattr(self.resource, self.method).__doc__
        return first_sentence(own or self.command.action.__doc__)

    def _parameters(self, converter: Any) -> list[Any]:
        names = ["Idempotency-Key"] if self.keeps_answer else []
        names += ["If-Match"] if 412 in self.codes and self.targets else []
        names += ["If-None-Match"] if self.conditional else []
        found = [
            {"name": name, "in": "path", "required": True, "schema": outputs.ID}
            for name in self.targets
        ]
        if self.has_fields and not self.has_body:
            found += converter.schema2parameters(self.command.schema, location="query")
        return found + names  # apispec turns names into references

    def _responses(self) -> Json:
        command = self.command
        schema = self.resource.bodies.get(self.method) or outputs.BODIES.get(self.name)
        schema = schema or outputs.name_of(command.shape, self.dialect)
        headers = self._headers()
        found: Json = {
            str(command.status): {
                "description": HTTP_STATUS_CODES[command.status],
                "content": _json(outputs.ref(schema)),
                "headers": _headers(headers),
            }
        }
        if self.conditional:
            kept = [name for name in headers if name not in ("Link", "X-Unread-Count")]
            found["304"] = {"description": "Not Modified", "headers": _headers(kept)}
        for code in self.codes:
            name = _error_name(code, self.dialect if code == 412 else None)
            found[str(code)] = {"$ref": f"#/components/responses/{name}"}
        return found

    def _headers(self) -> list[str]:
        command = self.command
        names = ["ETag"] if command.fresh or command.shape == "task" else []
        names += ["X-Event-Seq", "X-Event-Epoch"] if command.fresh else []
        names += ["Link"] if isinstance(command.schema, PageQuery) else []
        names += ["X-Unread-Count"] if command.shape == "notification_list" else []
        return names + (["Idempotent-Replayed"] if self.keeps_answer else [])


def build(routes: Iterable[tuple[Any, ...]], prefixes: Mapping[str, str]) -> Json:
    """The document of these routes under these prefixes."""
    routes = list(routes)
    plugin = Plugin()
    spec = APISpec(
        title="Task server",
        version=VERSION,
        openapi_version="3.1.0",
        plugins=[plugin],
        info={"description": DESCRIPTION},
        servers=[{"url": "/"}],
        tags=_tags(),
    )
    _add_components(spec)
    paths: dict[str, Json] = {}
    ids: dict[str, tuple[str, str]] = {}
    for name, dialect in DIALECTS.items():
        created: list[tuple[str, Json]] = []
        for resource, *urls in routes:
            for url in urls:
                path = re.sub(r"<int:(\w+)>", r"{\1}", prefixes[name] + url)
                described = paths[path] = _path(resource, url, dialect, plugin.converter)
                for method, operation in described.items():
                    command = getattr(resource, "commands", {}).get(method, resource.__name__)
                    operation["operationId"] = _operation_id(ids, dialect, command, method, url)
                    created.append((command, operation))
        _link(created)
    paths |= _others()
    for path, operations in paths.items():
        spec.path(path, operations=operations)
    document: Json = spec.to_dict()
    return document


def _path(resource: Any, url: str, dialect: Dialect, converter: Any) -> Json:
    """The operations of one URL."""
    if resource in PLAIN:
        tag = _tag("", dialect)
        return {"get": _plain(tag, first_sentence(resource.get.__doc__), PLAIN[resource])}
    if issubclass(resource, streams.EventStreamResource):
        return {"get": _stream(dialect, resource)}
    return {
        method: Operation(resource, method, url, dialect, name, COMMANDS[name]).describe(converter)
        for method, name in resource.commands.items()
    }


def _plain(tag: str, summary: str, answers: Mapping[int, str]) -> Json:
    responses = {
        str(status): {
            "description": HTTP_STATUS_CODES[status],
            "content": _json(outputs.ref(schema)),
        }
        for status, schema in answers.items()
    }
    return {"tags": [tag], "summary": summary, "responses": responses, "security": []}


def _stream(dialect: Dialect, resource: type[streams.EventStreamResource]) -> Json:
    """An event stream; what it carries is in the AsyncAPI document."""
    errors = {400: "Error", 401: "Error"}
    stream = _plain(_tag("", dialect), first_sentence(resource.get.__doc__), errors)
    stream["operationId"] = f"{dialect.name}_{resource.name}"
    text = {resource.form.mimetype: {"schema": {"type": "string"}}}
    stream["responses"]["200"] = {"description": "OK", "content": text}
    stream["parameters"] = [
        {"name": name, "in": place, "schema": schema}
        for name, place, schema in (
            ("Last-Event-ID", "header", {"type": "string"}),
            ("since", "query", {"type": "integer", "minimum": 0}),
            ("epoch", "query", {"type": "string"}),
            ("ticket", "query", {"type": "string", "minLength": 1}),
        )
    ]
    stream["security"] = [{TOKEN: []}, {}]  # or a ticket in the query
    return stream


def _others() -> Json:
    """What is served outside of the URL table."""
    metrics = _plain(SERVER, "Metrics for Prometheus.", {401: "Error"})
    metrics["responses"]["200"] = {
        "description": "OK",
        "content": {"text/plain": {"schema": {"type": "string"}}},
    }
    # Without METRICS_TOKEN the machine itself may read them with no token.
    metrics |= {"operationId": "metrics", "security": [{METRICS: []}, {}]}
    found = {"/metrics": {"get": metrics}, "/": {"get": _index()}}
    for name in ("openapi", "asyncapi"):
        document = _plain(SERVER, f"The {name} document.", {}) | {"operationId": name}
        document["responses"]["200"] = {"description": "OK", "content": _json({"type": "object"})}
        found[f"/{name}.json"] = {"get": document}
    return found


def _index() -> Json:
    """The one URL that answers with a page, when a page is what is asked for."""
    index = _plain(SERVER, "Where to go from here; the board, for a browser.", {})
    links = outputs.object_of(dict.fromkeys(board.INDEX, outputs.TEXT))
    content = {**_json(links), "text/html": {"schema": {"type": "string"}}}
    index["responses"]["200"] = {"description": "OK", "content": content}
    return index | {"operationId": "index"}


def _link(operations: list[tuple[str, Json]]) -> None:
    """Tell what can be done with what a command made: everything that takes its id."""
    ids = {"task": "$response.body#/id", "user": "$response.body#/user/id"}
    for name, operation in operations:
        kind, _, verb = name.partition(".")
        if verb != "create":
            continue
        operation["responses"]["201"]["links"] = {
            other["operationId"]: {
                "operationId": other["operationId"],
                "parameters": {f"{kind}_id": ids[kind]},
            }
            for other_name, other in operations
            if other_name.startswith(kind) and _takes(other, f"{kind}_id")
        }


def _takes(operation: Json, parameter: str) -> bool:
    path = [one for one in operation.get("parameters", []) if not isinstance(one, str)]
    return any(one["name"] == parameter for one in path)


def _operation_id(
    ids: dict[str, tuple[str, str]], dialect: Dialect, name: str, method: str, url: str
) -> str:
    """`native_task_list`; for a command's further URLs and methods, with what tells them apart.

    `ids` keeps the first URL and method of each.
    """
    found = f"{dialect.name}_{name.removesuffix('Resource').replace('.', '_').lower()}"
    first_url, first_method = ids.setdefault(found, (url, method))
    if url != first_url:
        found += f"_{re.sub(r'[^a-z]+', '_', re.sub(r'<.*?>', '', url)).strip('_')}"
    return found if method == first_method else f"{found}_{method}"


def _add_components(spec: APISpec) -> None:
    schemas = dict(outputs.COMMON)
    for dialect in DIALECTS.values():
        schemas |= outputs.of_dialect(dialect)
        conflict = outputs.name_of("conflict", dialect)
        spec.components.response(_error_name(412, dialect), _error(412, conflict))
    for name, schema in schemas.items():
        spec.components.schema(name, schema)
    for code in (400, 401, 403, 404, 409, 413, 414, 415, 422, 429, 503):
        spec.components.response(_error_name(code), _error(code, "Error"))
    for name, header in HEADERS.items():
        spec.components.header(name, header)
    for name, parameter in PARAMETERS.items():
        spec.components.parameter(name, "header", {"name": name, **parameter})
    for name, scheme in SECURITY.items():
        spec.components.security_scheme(name, scheme)


def _error_name(code: int, dialect: Dialect | None = None) -> str:
    phrase = re.sub(r"\W", "", HTTP_STATUS_CODES[code].title())
    return f"{dialect.name.capitalize()}{phrase}" if dialect else phrase


def _error(code: int, schema: str) -> Json:
    return {
        "description": HTTP_STATUS_CODES[code],
        "content": _json(outputs.ref(schema)),
        "headers": _headers(HEADERS_OF_ERRORS.get(code, [])),
    }


def _json(schema: Json) -> Json:
    return {"application/json": {"schema": schema}}


def _headers(names: Iterable[str]) -> Json:
    return {name: {"$ref": f"#/components/headers/{name}"} for name in names}


def _tag(kind: str, dialect: Dialect) -> str:
    group = GROUPS.get(kind, SERVER)
    return group if dialect.name == "native" else f"{group} ({dialect.name})"


def _tags() -> list[Json]:
    groups = ["task", "user", "notification", ""]
    return [{"name": _tag(kind, dialect)} for dialect in DIALECTS.values() for kind in groups]


def first_sentence(text: str | None) -> str:
    return re.split(r"(?<=\.)\s", one_line(text), maxsplit=1)[0]
