"""FastAPI and python-socketio on uvicorn with uvloop and httptools.

    python app.py PORT DATABASE SECRET orm|sqlite       (tables and users are bench/run.py's)

`orm`: SQLAlchemy's ORM with a session from a dependency in `def` endpoints, as the tutorial has
it.  `sqlite`: the standard library's sqlite3 on one connection in `async def` endpoints, which is
the fastest FastAPI gets.  Either way the database is in WAL.
"""

# ruff: noqa: S608 - column names of our own

import sqlite3
import sys
from datetime import datetime, timezone
from typing import Annotated, Any, Literal

import jwt
import socketio
import uvicorn
from anyio import from_thread, to_thread
from fastapi import Depends, FastAPI, HTTPException
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from pydantic import BaseModel, ConfigDict, Field, computed_field
from sqlalchemy import create_engine, select
from sqlalchemy import event as sqlalchemy_event
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column, sessionmaker

port, database, secret, variant = sys.argv[1:]
EPOCH = "313c6ca0d5e5e571"
CHANGES = ["title", "description", "status", "priority", "due_date", "user_id", "assigned_to"]

sio = socketio.AsyncServer(async_mode="asgi", cors_allowed_origins="*")
api = FastAPI()
bearer = HTTPBearer()


class NewTask(BaseModel):
    title: Annotated[str, Field(min_length=1, max_length=200)]
    description: Annotated[str | None, Field(max_length=10_000)] = None
    status: Literal["todo", "in_progress", "completed"] = "todo"
    priority: Literal["low", "medium", "high"] = "medium"
    due_date: str | None = None
    assigned_to: int | None = None


class TaskOut(BaseModel):
    model_config = ConfigDict(from_attributes=True)
    id: int
    title: str
    description: str | None
    status: str
    priority: str
    due_date: str | None
    user_id: int
    created_by: int
    assigned_to: int | None
    created_at: str
    updated_at: str
    version: int

    @computed_field
    def done(self) -> bool:
        return self.status == "completed"


def actor_of(token: str) -> int:
    return int(jwt.decode(token, secret, ["HS256"])["sub"])


# A dependency that is `def` would cost each request a thread.
async def current_actor(given: Annotated[HTTPAuthorizationCredentials, Depends(bearer)]) -> int:
    try:
        return actor_of(given.credentials)
    except jwt.PyJWTError:
        raise HTTPException(401) from None


Actor = Annotated[int, Depends(current_actor)]


def stamp() -> str:
    return datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def event_of(task: dict[str, Any], actor: int) -> dict[str, Any]:
    return {
        **task,
        "task": task["id"],
        "type": "task_created",
        "seq": task["id"],
        "epoch": EPOCH,
        "actor_id": actor,
        "changes": CHANGES,
        "at": task["created_at"],
    }


async def publish(event: dict[str, Any]) -> None:
    await sio.emit("task_created", event, room="all")


@api.get("/health")
async def health() -> dict[str, str]:
    return {"status": "ok"}


# --- with the ORM


class Base(DeclarativeBase):
    pass


class Task(Base):
    __tablename__ = "tasks"
    id: Mapped[int] = mapped_column(primary_key=True)
    title: Mapped[str]
    description: Mapped[str | None]
    status: Mapped[str]
    priority: Mapped[str]
    due_date: Mapped[str | None]
    user_id: Mapped[int]
    created_by: Mapped[int]
    assigned_to: Mapped[int | None]
    created_at: Mapped[str]
    updated_at: Mapped[str]
    version: Mapped[int] = mapped_column(default=1)


def orm_routes() -> Any:
    engine = create_engine(f"sqlite:///{database}", connect_args={"check_same_thread": False})
    sessions = sessionmaker(engine)

    @sqlalchemy_event.listens_for(engine, "connect")
    def set_up(connection: Any, _: Any) -> None:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = NORMAL")

    def session() -> Any:
        with sessions() as opened:
            yield opened

    Db = Annotated[Session, Depends(session)]

    @api.get("/tasks/{task_id}")
    def get_task(task_id: int, db: Db, actor: Actor) -> TaskOut:
        task = db.get(Task, task_id)
        if task is None:
            raise HTTPException(404)
        return TaskOut.model_validate(task)

    @api.get("/tasks")
    def list_tasks(db: Db, actor: Actor, limit: int = 50) -> list[TaskOut]:
        tasks = db.scalars(select(Task).order_by(Task.id).limit(limit))
        return [TaskOut.model_validate(task) for task in tasks]

    @api.post("/tasks", status_code=201)
    def post_task(new: NewTask, db: Db, actor: Actor) -> TaskOut:
        task = create(db, new, actor)
        from_thread.run(publish, event_of(task.model_dump(), actor))
        return task

    def create(db: Session, new: NewTask, actor: int) -> TaskOut:
        now = stamp()
        task = Task(**new.model_dump(), user_id=actor, created_by=actor)
        task.created_at = task.updated_at = now
        db.add(task)
        db.commit()
        return TaskOut.model_validate(task)

    def create_in_session(new: NewTask, actor: int) -> dict[str, Any]:
        with sessions() as db:
            return create(db, new, actor).model_dump()

    async def create_from_socket(new: NewTask, actor: int) -> dict[str, Any]:
        return await to_thread.run_sync(create_in_session, new, actor)

    return create_from_socket


# --- with sqlite3


def sqlite_routes() -> Any:
    db = sqlite3.connect(database, isolation_level=None, cached_statements=256)
    db.execute("PRAGMA journal_mode = WAL")
    db.execute("PRAGMA synchronous = NORMAL")
    columns = (
        "id, title, description, status, priority, due_date, user_id, created_by, assigned_to, "
        "created_at, updated_at, version"
    )
    names = columns.split(", ")

    def task_of(row: tuple[Any, ...]) -> dict[str, Any]:
        task = dict(zip(names, row, strict=True))
        task["done"] = task["status"] == "completed"
        return task

    @api.get("/tasks/{task_id}")
    async def get_task(task_id: int, actor: Actor) -> TaskOut:
        row = db.execute(f"SELECT {columns} FROM tasks WHERE id = ?", (task_id,)).fetchone()
        if row is None:
            raise HTTPException(404)
        return TaskOut.model_construct(**task_of(row))

    @api.get("/tasks")
    async def list_tasks(actor: Actor, limit: int = 50) -> list[TaskOut]:
        rows = db.execute(f"SELECT {columns} FROM tasks ORDER BY id LIMIT ?", (limit,))
        return [TaskOut.model_construct(**task_of(row)) for row in rows]

    @api.post("/tasks", status_code=201)
    async def post_task(new: NewTask, actor: Actor) -> TaskOut:
        task = await create(new, actor)
        await publish(event_of(task, actor))
        return TaskOut.model_construct(**task)

    async def create(new: NewTask, actor: int) -> dict[str, Any]:
        now = stamp()
        values = (
            new.title, new.description, new.status, new.priority, new.due_date, actor, actor,
            new.assigned_to, now, now, 1,
        )  # fmt: skip
        done = db.execute(
            f"INSERT INTO tasks ({', '.join(names[1:])}) VALUES ({', '.join('?' * 11)})", values
        )
        return task_of((done.lastrowid, *values))

    return create


create_task = {"orm": orm_routes, "sqlite": sqlite_routes}[variant]()

# --- Socket.IO

actors: dict[str, int] = {}


@sio.event
async def connect(sid: str, environ: Any, credentials: Any = None) -> None:
    token = (credentials or {}).get("token")
    if token is None:
        return
    try:
        actors[sid] = actor_of(token)
    except jwt.PyJWTError:
        raise socketio.exceptions.ConnectionRefusedError("unauthorized") from None
    await sio.enter_room(sid, "all")


@sio.event
async def disconnect(sid: str, reason: Any = None) -> None:
    actors.pop(sid, None)


@sio.on("create_task")
async def on_create_task(sid: str, payload: dict[str, Any]) -> dict[str, Any]:
    token = payload.pop("token", None)
    actor = actors[sid] if token is None else actor_of(token)
    event = event_of(await create_task(NewTask(**payload), actor), actor)
    await publish(event)
    return event


app = socketio.ASGIApp(sio, api)

if __name__ == "__main__":
    uvicorn.run(
        app,
        host="127.0.0.1",
        port=int(port),
        loop="uvloop",
        http="httptools",
        access_log=False,
        log_level="warning",
        backlog=4096,
    )
