"""The task server: the map.

    app.py               create_app(), then serve
    config.py            every setting; the only place that reads the environment
    task_app/
      __init__.py        create_app(), and this map
      version.py         which version this is
      application.py     Flask without what this server has no use for
      extensions.py      bare instances of the Flask extensions
      errors.py          AppError: the one error of every transport
      ids.py             ids that nobody can guess
      jsonio.py          JSON, fast out and strict in
      proxies.py         who the client is behind a gateway
      values.py          how the text of a setting becomes its value
      instance.py        who uses the instance folder, or has it alone
      sqlite.py          how SQLite's connections are opened
      postgres.py        how PostgreSQL's are, and what its errors mean
      transactions.py    a transaction, and the statements in it
      database.py        how the engines are read and written
      logs.py            log lines, and the request each belongs to
      measured.py        the versions of what this leans on
      metrics.py         what Prometheus is told
      models/            the tables
      schemas/           what may come in, one file per entity
      access.py          actors; who may see and change a task; the rooms an event goes to
      pages.py           keyset pages
      groups.py          writers that come together share a commit
      idempotency.py     a request sent again is answered again
      cache.py           pages that were read a moment ago
      shared_pages.py    those that another process read, by Redis
      events.py          EVENTS: type -> who gets it; the log
      queries.py         every read but the list of tasks, on behalf of an actor
      activity.py        what happened to tasks, out of the log
      presence.py        the processes that serve this database, and which clients they have
      people.py          who has an account, and who of them is here
      task_lists.py      lists of tasks, along an index whatever is asked
      dialects.py        how tasks and events are spelt for each client family
      own_tokens.py      tokens this server made, verified
      foreign.py         tokens issued elsewhere
      auth.py            token -> actor; passwords
      actions/           every write; they record events and never commit
      commands.py        COMMANDS: name -> schema and action; execute(): the only way in
      resources/         Flask-RESTful; __init__.py holds the one URL table
                         and openapi.py the document made from it, as
                         that of sockets and streams is by asyncapi.py
      web/               what browsers load
      realtime/
        clock.py         one timer for every connection
        frames.py        WebSocket frames from bytes and to bytes
        outbox.py        what waits for one connection, bounded
        wire.py          the server's end of a WebSocket
        uring.py         one frame to many sockets by one call of the kernel
        engine.py        WebSockets without a greenlet while they are idle (eventlet)
        sessions.py      Engine.IO sessions on these
        packets.py       Socket.IO packets, strict
        relay.py         committed events -> this process, in seq order, each once
        hints.py         "there is something to read", from process to process
        feeds.py         rooms -> subscribers of this process
        whereabouts.py   who is here, to those who want to know
        replay.py        from the last event a client saw to the live feed
        messages.py      what a socket's client asks, whichever socket it is
        door.py          who comes in by a socket's URL: origin, header, ticket
        socketio_door.py the door of Socket.IO's, and its refusals
        handlers.py      Socket.IO in and out
        websocket.py     raw WebSockets in and out
        sse.py           Server-Sent Events out
      http/
        requests.py      bytes in, WSGI environments out
        responses.py     what the application answers, as bytes
        hub.py           eventlet's hub, with one mistake of it mended
        workers.py       greenlets that do one job after the other
        server.py        HTTP/1.1 connections on eventlet's hub
      jobs.py            what a server does again and again: reminders, pruning, expiry
      demo.py            sample data for --demo
      bootstrap.py       before listening: schema, first admin, relay
      traces.py          OpenTelemetry, where it is asked for
      reload.py          the server for whoever works on it
      server.py          listen, signals, graceful stop
      cli/               `flask --app app …`, one module for each group of commands
      migrations/        Alembic

The way of a change, whatever brings it:

    REST resource ─┐
    Socket.IO     ─┼→ commands.execute(actor, "task.create", payload, …)
    raw WebSocket ─┘    schema → action (access checked) → rows and events
                        → ONE commit → relay.publish → result
    relay → feeds → every subscriber in the event's rooms, encoded once per wire form

Imports go down, never up; `pyproject.toml` has the floors and import-linter checks them:

    cli → server, reload, traces, bootstrap, jobs → resources, realtime.handlers, realtime.websocket
    → realtime.sse, realtime.socketio_door → realtime.messages, realtime.door
    → realtime.replay, realtime.whereabouts → realtime.hints
    → commands
    → actions, people, realtime.relay → realtime.feeds, realtime.sessions → realtime.engine
    → realtime.wire → realtime.frames, realtime.outbox, realtime.clock
    → auth, dialects, task_lists → foreign, own_tokens
    → queries, events, activity, presence → cache, groups, idempotency → shared_pages
    → access, pages → schemas → models
    → database → transactions → application, http → logs
    → extensions, errors, ids, jsonio, metrics, postgres, sqlite, values, proxies, instance,
      measured, version

Nothing is imported here at the top, so that the server can patch the standard library first.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from flask import Flask

    from config import Config


def create_app(config: Config | None = None) -> Flask:
    """The application, bound to its extensions; touches neither the database nor the network.

    Without `config` it is the flask command's, with its commands.  Raises `config.ConfigError` for
    a setting that cannot be used; the flask command ends with its sentence.
    """
    from config import Config, ConfigError
    from task_app import database, proxies, resources
    from task_app.application import Application
    from task_app.extensions import db, jwt, migrate
    from task_app.models import MIGRATIONS
    from task_app.realtime import handlers, websocket

    by_flask = config is None
    if config is None:
        # The flask command and a debugger: only `app.py` patches the standard library for eventlet.
        os.umask(0o077)  # as in `app.py`: what is made here is for this user alone
        try:
            config = Config(async_mode="threading")
        except ConfigError as error:
            raise SystemExit(f"Error: {error}") from error  # as the flask command's errors look
    app = Application(__name__, instance_path=config.INSTANCE_PATH)
    app.config.from_object(config)
    database.configure(app)
    db.init_app(app)
    migrate.init_app(app, db, directory=str(MIGRATIONS))
    database.prepare(app)
    jwt.init_app(app)
    resources.register(app)
    rest_alone = app.wsgi_app
    handlers.register(app)
    websocket.register(app)
    if "notifications" not in config.SERVICES:
        app.wsgi_app = rest_alone  # type: ignore[method-assign]
    if config.TRUSTED_PROXIES:
        app.wsgi_app = proxies.RealClient(  # type: ignore[method-assign]
            app.wsgi_app, config.TRUSTED_PROXIES
        )
    if by_flask:  # a server has no use for them
        from task_app import cli

        cli.register(app)
    return app
