"""The stack as it comes, put together as its documentation shows: Flask-RESTful,
Flask-JWT-Extended, Flask-SQLAlchemy's ORM, marshmallow, and Flask-SocketIO on eventlet with
`socketio.run`.

    python app.py PORT DATABASE SECRET        (tables and users are bench/run.py's)
"""

# ruff: noqa: E402 - eventlet goes first

import eventlet

eventlet.monkey_patch()

import sys
from datetime import datetime, timezone

from flask import Flask, request
from flask_jwt_extended import JWTManager, decode_token, get_jwt_identity, jwt_required
from flask_restful import Api, Resource
from flask_socketio import SocketIO, join_room
from flask_sqlalchemy import SQLAlchemy
from marshmallow import Schema, ValidationError, fields, validate

port, database, secret = sys.argv[1:]
app = Flask(__name__)
app.config["SECRET_KEY"] = secret
app.config["JWT_SECRET_KEY"] = secret
app.config["SQLALCHEMY_DATABASE_URI"] = f"sqlite:///{database}"
db = SQLAlchemy(app)
api = Api(app)
JWTManager(app)
socketio = SocketIO(app, async_mode="eventlet", cors_allowed_origins="*")

EPOCH = "313c6ca0d5e5e571"
CHANGES = ["title", "description", "status", "priority", "due_date", "user_id", "assigned_to"]


class Task(db.Model):
    __tablename__ = "tasks"
    id = db.Column(db.Integer, primary_key=True)
    title = db.Column(db.String(200), nullable=False)
    description = db.Column(db.Text)
    status = db.Column(db.String(16), default="todo")
    priority = db.Column(db.String(16), default="medium")
    due_date = db.Column(db.String(10))
    user_id = db.Column(db.Integer, nullable=False)
    created_by = db.Column(db.Integer, nullable=False)
    assigned_to = db.Column(db.Integer)
    created_at = db.Column(db.String(27))
    updated_at = db.Column(db.String(27))
    version = db.Column(db.Integer, default=1)

    @property
    def done(self):
        return self.status == "completed"


class TaskSchema(Schema):
    id = fields.Integer(dump_only=True)
    title = fields.String(required=True, validate=validate.Length(1, 200))
    description = fields.String(allow_none=True, validate=validate.Length(max=10_000))
    done = fields.Boolean(dump_only=True)
    status = fields.String(validate=validate.OneOf(["todo", "in_progress", "completed"]))
    priority = fields.String(validate=validate.OneOf(["low", "medium", "high"]))
    due_date = fields.String(allow_none=True)
    user_id = fields.Integer(dump_only=True)
    created_by = fields.Integer(dump_only=True)
    assigned_to = fields.Integer(allow_none=True)
    created_at = fields.String(dump_only=True)
    updated_at = fields.String(dump_only=True)
    version = fields.Integer(dump_only=True)


task_schema = TaskSchema()
tasks_schema = TaskSchema(many=True)


def create_task(actor, payload):
    """The new task and its event, as dicts."""
    now = datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    task = Task(**task_schema.load(payload), user_id=actor, created_by=actor)
    task.created_at = task.updated_at = now
    db.session.add(task)
    db.session.commit()
    body = task_schema.dump(task)
    event = {
        **body,
        "task": task.id,
        "type": "task_created",
        "seq": task.id,
        "epoch": EPOCH,
        "actor_id": actor,
        "changes": CHANGES,
        "at": now,
    }
    return body, event


class TaskListResource(Resource):
    @jwt_required()
    def get(self):
        limit = request.args.get("limit", 50, type=int)
        return tasks_schema.dump(Task.query.order_by(Task.id).limit(limit).all())

    @jwt_required()
    def post(self):
        try:
            body, event = create_task(int(get_jwt_identity()), request.get_json())
        except ValidationError as error:
            return {"errors": error.messages}, 400
        socketio.emit("task_created", event, to="all")
        return body, 201


class TaskResource(Resource):
    @jwt_required()
    def get(self, task_id):
        return task_schema.dump(db.get_or_404(Task, task_id))


class HealthResource(Resource):
    def get(self):
        return {"status": "ok"}


api.add_resource(TaskListResource, "/tasks")
api.add_resource(TaskResource, "/tasks/<int:task_id>")
api.add_resource(HealthResource, "/health")

actors = {}


@socketio.on("connect")
def connect(credentials=None):
    token = (credentials or {}).get("token")
    if token:
        actors[request.sid] = int(decode_token(token)["sub"])
        join_room("all")


@socketio.on("disconnect")
def disconnect(reason=None):
    actors.pop(request.sid, None)


@socketio.on("create_task")
def on_create_task(payload):
    token = payload.pop("token", None)
    actor = actors.get(request.sid) if token is None else int(decode_token(token)["sub"])
    try:
        _, event = create_task(actor, payload)
    except ValidationError as error:
        return {"errors": error.messages}
    socketio.emit("task_created", event, to="all")
    return event


if __name__ == "__main__":
    socketio.run(app, host="127.0.0.1", port=int(port))
