"""The OpenAPI document held against a server, by schemathesis.

What is made up cannot know which users and pages exist, so a few values are put right before
they are sent (`mend`); all else goes out as it was drawn.  To import this costs two seconds.
"""

from __future__ import annotations

import contextlib
import re
from typing import Any

import hypothesis
import hypothesis.errors
import schemathesis
from schemathesis.config import PositiveDataAcceptanceConfig, SchemathesisConfig

from task_app.commands import COMMANDS
from task_app.models.task import STATUSES
from task_app.resources import PREFIXES, ROUTES, openapi
from task_app.schemas.fields import MAX_ID, Flag
from tests.support import accounts
from tests.support.accounts import PASSWORD, Person
from tests.support.server import Server

# Operations that change who is signed in get an account of their own; one that ends the session
# gets one for each request.
OWN_ACCOUNT = ("/profile", "/password")
ENDS_SESSION = "/logout"
CURSOR = re.compile("(?s)(?=.*\\S)[^\\x00\\ud800-\\udfff]{1,1000}")  # any text is one, in form
FLAGS = (*Flag().truthy, *Flag().falsy)
REFERENCES = ("user_id", "assigned_to", "reassign_to")


def load(*phases: str, seed: int | None = None) -> Any:
    """The document, to be held against a server in these phases: with what it draws each time, or
    with what `seed` draws."""
    config = SchemathesisConfig(seed=seed)
    project = config.projects.default
    project.generation.update(deterministic=True)
    project.phases.update(phases=list(phases))
    # What is right in form may still come too late (412) or reuse a key (422).
    expected = [*PositiveDataAcceptanceConfig._DEFAULT_EXPECTED_STATUSES, "412", "422"]
    project.checks.positive_data_acceptance.expected_statuses = expected
    # And what is wrong may be too long for a URL.
    refusing = project.checks.negative_data_rejection
    refusing.expected_statuses = [*refusing._DEFAULT_EXPECTED_STATUSES, "414"]
    return schemathesis.openapi.from_dict(openapi.build(ROUTES, PREFIXES), config=config)


def settings(examples: int) -> hypothesis.settings:
    return hypothesis.settings(
        derandomize=True,
        max_examples=examples,
        deadline=None,
        database=None,
        suppress_health_check=list(hypothesis.HealthCheck),
    )


def is_first(context: Any) -> bool:
    """Whether this is a command's first URL and method, in the native dialect: its id says so."""
    return context.operation.definition.raw["operationId"] in FIRST


# A bulk request takes what its commands take: its bounds are 350 requests, and theirs again.
FIRST = {f"native_{name.replace('.', '_')}" for name in COMMANDS if name != "task.bulk"}


class World:
    """A server of these tests' own, whose people they may spoil."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.admin = accounts.admin(server)
        self.person = self.another_admin()
        self.victim = self.another_admin().id

        self.own: dict[str, Person] = {}

    def person_for(self, case: schemathesis.Case) -> Person:
        """Whose token this request carries."""
        path = case.operation.path
        if path.endswith(ENDS_SESSION):
            return self.another_admin()
        if not path.endswith(OWN_ACCOUNT):
            return self.person
        if path not in self.own:
            self.own[path] = self.another_admin()
        return self.own[path]

    def another_admin(self) -> Person:
        name = accounts.unique("Schemer")
        body = {"username": name, "password": PASSWORD, "role": "admin"}
        answer = self.admin.rest.post("/users", body)
        assert answer.status_code == 201, answer.text
        return accounts.sign_in(self.server.url, name, PASSWORD)


def mend(case: schemathesis.Case, world: World, *, targets: bool = True) -> None:
    """Name users that exist, but nobody the tests need; leave out what only a server can know
    (cursors) and what may contradict the task as it is (`done` beside `status`)."""
    path = case.path_parameters
    if isinstance(path, dict) and is_id(path.get("user_id")):
        needed = (world.admin.id, world.person.id)
        if targets or float(path["user_id"]) in needed:
            path["user_id"] = world.victim
    bodies = [case.body]
    if isinstance(case.body, dict) and isinstance(case.body.get("operations"), list):
        bodies = [one["data"] for one in case.body["operations"] if has_data(one)]
    for found in (*bodies, case.query):
        if not isinstance(found, dict):
            continue
        for name in REFERENCES:
            if is_id(found.get(name)):
                found[name] = world.person.id
        if "cursor" in found and CURSOR.fullmatch(
            str(found["cursor"])
        ):  # what is none in form is for the server
            del found["cursor"]
        if found.get("status") in STATUSES and found.get("done") in FLAGS:
            del found["done"]


def is_id(value: Any) -> bool:
    """JSON's 7 and 7.0, and a query's "7"."""
    digits = str(value).removesuffix(".0")
    return digits.isdigit() and 0 < int(digits) <= MAX_ID


def has_data(operation: Any) -> bool:
    return isinstance(operation, dict) and isinstance(operation.get("data"), dict)


def check(case: Any, world: World) -> None:
    mend(case, world)
    case.call_and_validate(base_url=world.server.url, headers=world.person_for(case).header)


def is_endless(context: Any) -> bool:
    """Whether the answer is the event stream, which is never whole."""
    return context.operation.path.endswith("/events")


def links(world: World, *, rounds: int, examples: int, seed: int = 0) -> set[str]:
    """Follow the links from what was made: it can be read, changed and deleted, and is gone then.
    Each round draws from a seed of its own, the first from `seed`.  Returns what was done with
    success, as `GET /tasks/{task_id}`.  Raises what did not hold."""
    linked = load("stateful").include(path_regex=r"^/(tasks|users)(/\{\w+\})?$")
    linked.config.generation.update(modes=[schemathesis.GenerationMode.POSITIVE])
    done: set[str] = set()
    failures: list[Exception] = []

    class Machine(linked.as_state_machine()):  # type: ignore[misc]
        def before_call(self, case: Any) -> None:
            mend(case, world, targets=False)

        def get_call_kwargs(self, case: Any) -> dict[str, Any]:
            return {"base_url": world.server.url, "headers": world.person_for(case).header}

        def after_call(self, response: Any, case: Any) -> None:
            if response.status_code == 200:
                done.add(case.operation.label)

        def validate_response(self, response: Any, case: Any, *rest: Any, **options: Any) -> None:
            try:
                super().validate_response(response, case, *rest, **options)
            except Exception as error:
                failures.append(error)
                raise

    # What can be drawn next follows from the answers, and the server remembers: Hypothesis ends a
    # run when it sees that.  So there are several, and a failure counts even if it cannot be had
    # again.
    for number in range(seed, seed + rounds):
        Machine._hypothesis_internal_use_seed = number
        bounds = hypothesis.settings(settings(examples), derandomize=False, stateful_step_count=6)
        with contextlib.suppress(hypothesis.errors.FlakyStrategyDefinition):
            Machine.run(settings=bounds)
    if failures:
        raise failures[0]
    return done


def examine(operation: Any, world: World, *, forbidden: bool) -> None:
    """Hold one operation against the server: a request that the document allows, or one that it
    forbids, where one can be made."""
    modes = schemathesis.GenerationMode
    drawn = operation.as_strategy(generation_mode=modes.NEGATIVE if forbidden else modes.POSITIVE)

    @settings(1)
    @hypothesis.given(case=drawn)
    def hold(case: Any) -> None:
        check(case, world)

    with contextlib.suppress(hypothesis.errors.Unsatisfiable):
        hold()
