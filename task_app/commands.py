"""The one way to do anything: `execute`.

A transport names a command and hands over what came in; `execute` validates, acts, appends the
events, commits once, and publishes after the commit.  `COMMANDS` is the table of all of them.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

from flask import current_app
from marshmallow import Schema
from sqlalchemy.exc import IntegrityError

from task_app import (
    activity,
    auth,
    cache,
    database,
    events,
    groups,
    idempotency,
    logs,
    metrics,
    people,
    queries,
    task_lists,
)
from task_app.access import SYSTEM, Actor, team_sees_all
from task_app.actions import broadcast, notifications, server, tasks, tickets, users
from task_app.actions.call import Call
from task_app.errors import AppError, forbidden, not_found, unauthorized
from task_app.events import Event
from task_app.extensions import socketio
from task_app.pages import Page
from task_app.realtime.relay import relay
from task_app.schemas import load
from task_app.schemas.fields import MAX_ID
from task_app.schemas.lists import ActivityQuery, PeopleQuery
from task_app.schemas.notification import Broadcast, NotificationChange, NotificationQuery
from task_app.schemas.server import Beat, Departure
from task_app.schemas.task import Bulk, NewTask, Nothing, PageQuery, TaskChange, TaskQuery
from task_app.schemas.user import (
    Adoption,
    Credentials,
    PasswordChange,
    ProfileChange,
    RefreshToken,
    Registration,
    TicketUse,
    UserChange,
    UserDeletion,
)
from task_app.transactions import Transaction

# How long a write waits for another process to let go of the database, and how often it asks.
WRITE_PATIENCE = 5.0
WRITE_RETRY = 0.02
GROUPS = "task_app.groups"  # among an application's extensions


@dataclass(frozen=True)
class Command:
    """One row of the table.

    `action(tx, call)` does it; `prepare(actor, data)` is slow work that must be done before the
    transaction and returns the data for the action; `reads` marks a command that changes
    nothing; `public` needs no token; `shape` names what the body is, for the dialects; `event`
    is the name under which sockets send it; `fresh(tx, actor)` gives where the log stands
    (`seq`, `epoch`) and a number that stays as long as the answer to the same question does;
    `once` marks a read of one prepared statement.
    """

    schema: Schema
    action: Callable[[Transaction, Call], Any]
    prepare: Callable[[Actor, Mapping[str, Any]], Mapping[str, Any]] | None = None
    status: int = 200
    shape: str = ""
    reads: bool = False
    public: bool = False
    event: str | None = None
    fresh: Callable[[Transaction, Actor], tuple[int, str, int]] | None = None
    once: bool = False


def _get_user(tx: Transaction, call: Call) -> dict[str, Any]:
    """One account: one's own, or any for an admin.  Raises 403 for others, 404 for none."""
    return queries.user_dict(queries.access_user_by_id(tx, call.actor, call.target_id))


def _get_task(tx: Transaction, call: Call) -> dict[str, Any]:
    """One task.  Raises 404 when there is none this actor may see."""
    return queries.access_task_by_id(tx, call.actor, call.target_id)


def _reading(
    query: Callable[[Transaction, Actor, Mapping[str, Any]], Any],
) -> Callable[[Transaction, Call], Any]:
    def action(tx: Transaction, call: Call) -> Any:
        return query(tx, call.actor, call.data)

    action.__doc__ = query.__doc__
    return action


NOTHING = Nothing()

COMMANDS: dict[str, Command] = {
    "user.register": Command(
        Registration(), users.register_user, users.hash_new_password, status=201, public=True
    ),
    "user.login": Command(Credentials(), users.login, users.check_credentials, public=True),
    "user.refresh": Command(
        RefreshToken(), users.refresh, users.check_refresh_token, reads=True, public=True
    ),
    "user.logout": Command(NOTHING, users.logout),
    "user.profile": Command(NOTHING, _reading(queries.own_account), shape="user", reads=True),
    "user.update_profile": Command(ProfileChange(), users.update_profile, shape="user"),
    "user.change_password": Command(
        PasswordChange(), users.change_password, users.check_password_change
    ),
    "user.list": Command(PageQuery(), _reading(queries.list_users), shape="user_list", reads=True),
    "user.get": Command(NOTHING, _get_user, shape="user", reads=True),
    "user.create": Command(Registration(), users.create_user, users.hash_new_password, status=201),
    "user.update": Command(UserChange(), users.update_user, users.hash_new_password, shape="user"),
    "user.delete": Command(UserDeletion(), users.delete_user),
    "user.adopt": Command(Adoption(), users.adopt_user),
    "person.list": Command(
        PeopleQuery(), _reading(people.list_people), shape="person_list", reads=True
    ),
    "activity.list": Command(
        ActivityQuery(), _reading(activity.list_activity), shape="activity_list", reads=True
    ),
    "ticket.create": Command(NOTHING, tickets.create_ticket, status=201),
    "ticket.redeem": Command(TicketUse(), tickets.redeem_ticket),
    "task.list": Command(
        TaskQuery(),
        _reading(task_lists.list_tasks),
        shape="task_list",
        reads=True,
        event="list_tasks",
        fresh=queries.news_of,
    ),
    "task.get": Command(NOTHING, _get_task, shape="task", reads=True, event="get_task", once=True),
    "task.create": Command(
        NewTask(), tasks.create_task, status=201, shape="task", event="create_task"
    ),
    "task.update": Command(TaskChange(), tasks.update_task, shape="task", event="update_task"),
    "task.delete": Command(NOTHING, tasks.delete_task, event="delete_task"),
    "task.bulk": Command(Bulk(), tasks.bulk, shape="bulk"),
    "notification.list": Command(
        NotificationQuery(),
        _reading(queries.list_notifications),
        shape="notification_list",
        reads=True,
        event="list_notifications",
        fresh=queries.news_of,
    ),
    "notification.read": Command(
        NotificationChange(),
        notifications.read_notification,
        shape="notification",
        event="read_notification",
    ),
    "notification.read_all": Command(
        NOTHING, notifications.read_all_notifications, event="read_notifications"
    ),
    "notification.remind": Command(NOTHING, notifications.remind),
    "server.beat": Command(Beat(), server.beat),
    "server.leave": Command(Departure(), server.leave),
    "server.prune": Command(NOTHING, server.prune),
    "server.settle_log": Command(NOTHING, server.settle_log),
    "server.new_epoch": Command(NOTHING, server.new_epoch),
    "broadcast.send": Command(Broadcast(), broadcast.broadcast),
}
# What the server does by itself; no transport offers these.
INTERNAL = frozenset({"user.adopt", "ticket.redeem", "notification.remind"}) | {
    name for name in COMMANDS if name.startswith("server.")
}


@dataclass(slots=True)  # one that is frozen takes three times as long to make
class Result:
    """What a command did: the HTTP status, the body in the native form, the events.

    `seq` and `epoch` are those of the snapshot a list of tasks was read in; `page` is the page a
    list came as; `validator` changes when the answer would (None where nobody keeps track).
    `replayed` marks an answer kept from an earlier request with the same idempotency key; its
    events are not sent again.
    """

    status: int
    body: Any
    shape: str
    events: list[Event] = field(default_factory=list)
    seq: int = 0
    epoch: str = ""
    page: Page | None = None
    validator: str | None = None
    replayed: bool = False


NOT_MODIFIED = 304
ANY = '"*"'  # among known validators: whatever the answer is; no tag has a quote in it


def authenticate(token: Any) -> Actor:
    """The actor of an access token.  Whoever comes with a good token of another issuer for the
    first time is given an account.  Raises 401."""
    try:
        return auth.actor_of(token)
    except auth.Stranger as stranger:
        names = ("external_id", "username", "email")
        execute(SYSTEM, "user.adopt", {name: stranger.holder[name] for name in names})
        return auth.actor_of(token)


def redeem(ticket: str) -> Actor:
    """The actor a one-use ticket stands for.  Raises 401, and 400 for what cannot be one."""
    return Actor(**execute(SYSTEM, "ticket.redeem", {"ticket": ticket}).body)


def execute(
    actor: Actor,
    name: str,
    payload: Any,
    *,
    target: int | None = None,
    expected_versions: frozenset[int] | None = None,
    request_id: str | None = None,
    known: Collection[str] = (),
) -> Result:
    """Do the command `name` for `actor`.

    `payload` is what the client sent, not yet checked; `request_id` is its idempotency key;
    `known` are the validators of answers it holds (a read that would only repeat one of them
    ends with status 304 and no body).  Raises `AppError`; nothing has happened then.
    """
    status = 500
    try:
        result = _execute(actor, name, payload, target, expected_versions, request_id, known)
        status = result.status
        return result
    except AppError as error:
        status = error.status
        raise
    finally:
        metrics.command_counter(name, status).inc()


def _execute(
    actor: Actor,
    name: str,
    payload: Any,
    target: int | None,
    expected_versions: frozenset[int] | None,
    request_id: str | None,
    known: Collection[str],
) -> Result:
    command = COMMANDS[name]
    if actor.id is None and not command.public and actor is not SYSTEM:
        raise unauthorized()
    if name in INTERNAL and actor is not SYSTEM:
        raise forbidden("Only the server itself does this")
    if target is not None and not 1 <= target <= MAX_ID:
        raise not_found(name.partition(".")[0])  # no column could hold it
    data: Mapping[str, Any] = load(command.schema, payload)
    key = None
    # What needs preparing carries a password: neither its digest nor its answer is kept.
    if request_id is not None and not command.reads and not command.prepare:
        versions = None if expected_versions is None else sorted(expected_versions)
        request = [name, target, sorted(data.items()), versions]
        key = idempotency.key_of(actor, request_id, request)
    if command.prepare:
        data = command.prepare(actor, data)
    call = Call(actor, data, target, expected_versions)
    if command.reads:
        return _read(command, call, known)
    return _write(command, call, key)


def _read(command: Command, call: Call, known: Collection[str]) -> Result:
    def attempt(_: float) -> Result:
        with database.reading(once=command.once) as tx:
            seq, epoch, validator = 0, "", None
            if command.fresh:
                seq, epoch, news = command.fresh(tx, call.actor)
                validator = _validator(epoch, news, call.actor)
                if validator in known or ANY in known:
                    return Result(NOT_MODIFIED, None, "", [], seq, epoch, validator=validator)
                body = _page(command, tx, call, validator)
            else:
                body = command.action(tx, call)
        page = body if isinstance(body, Page) else None
        return Result(
            command.status,
            page.items if page else body,
            command.shape,
            seq=seq,
            epoch=epoch,
            page=page,
            validator=validator,
        )

    return _patiently(attempt)


def _page(command: Command, tx: Transaction, call: Call, validator: str) -> Any:
    """The page, from a cache when nothing has happened since it was read."""
    question = (command.shape, call.actor.id, *sorted(call.data.items()))
    return cache.page(question, validator, lambda: command.action(tx, call))


def _validator(epoch: str, news: int, actor: Actor) -> str:
    """Two people, or one in two roles or before and after a change of `TASK_VISIBILITY`, may see
    different things under one URL."""
    return f"{epoch}-{news}-{actor.id}-{actor.role}{'-team' if team_sees_all() else ''}"


def _again(command: Command, kept: idempotency.Kept) -> Result:
    first = kept.first_seq or 0
    return Result(command.status, kept.body, command.shape, seq=first, replayed=True)


def _write(command: Command, call: Call, key: idempotency.Key | None) -> Result:
    request = logs.request_id()  # who leads a group acts in another's name

    def act(tx: Transaction) -> Result:
        if key and (kept := idempotency.kept_answer(tx, key)):
            return _again(command, kept)
        body = command.action(tx, call)
        committed = events.append(tx, request)
        if key:
            idempotency.keep(tx, key, body, committed[0].seq if committed else None)
        return Result(command.status, body, command.shape, committed)

    def attempt(left: float) -> Result:
        try:
            return _together(act, left)
        except AppError as error:
            # A database that is in trouble is not asked a second time.
            if error.status >= 500 or (kept := idempotency.kept_meanwhile(key)) is None:
                raise
            return _again(command, kept)
        except IntegrityError as error:
            if auth.is_gone(call.actor):
                raise unauthorized() from error
            if database.is_race(error):
                raise database.Busy from error
            raise

    return _patiently(attempt)


def _transact(acts: list[groups.Act[Result]], patience: float) -> list[Any]:
    """Do the acts, commit once, and publish what they did, in order."""
    with database.writing(patience) as tx:
        outcomes = groups.do_each(tx, acts)
        tx.commit()
    metrics.COMMITS.inc()
    committed = [
        event for outcome in outcomes if isinstance(outcome, Result) for event in outcome.events
    ]
    if committed:
        for event in committed:
            metrics.event_counter(event.type).inc()
        relay.publish(committed)
    return outcomes


def _together(act: groups.Act[Result], patience: float) -> Result:
    """Do the act, with others where the application's writers form groups (`groups.py`)."""
    extensions = current_app.extensions
    if not database.groups_writers():
        return _transact([act], patience)[0]
    if GROUPS not in extensions:
        extensions[GROUPS] = groups.Groups(_transact)
    together: groups.Groups[Result] = extensions[GROUPS]
    return together.run(act, patience)


def _patiently(attempt: Callable[[float], Result]) -> Result:
    """Try until the database lets us, for at most `WRITE_PATIENCE` seconds, serving others
    meanwhile; then 503."""
    deadline = time.monotonic() + WRITE_PATIENCE
    while True:
        left = deadline - time.monotonic()
        if left <= 0:
            raise database.unavailable()
        try:
            return attempt(left)
        except database.Busy:
            socketio.sleep(WRITE_RETRY)
