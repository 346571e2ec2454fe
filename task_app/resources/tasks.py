"""Tasks."""

from __future__ import annotations

from typing import Any

from flask import request

from task_app.resources.base import CommandResource, by_method, json_body


class TaskListResource(CommandResource):
    commands = by_method(get="task.list", post="task.create")

    def get(self) -> Any:
        """The tasks one may see, in pages."""
        return self.run(request.args.to_dict())

    def post(self) -> Any:
        return self.run(json_body())


class ActivityResource(CommandResource):
    commands = by_method(get="activity.list")

    def get(self) -> Any:
        """What happened to the tasks one may see, in pages, the newest first."""
        return self.run(request.args.to_dict())


class TaskBulkResource(CommandResource):
    commands = by_method(post="task.bulk")

    def post(self) -> Any:
        return self.run(json_body())


class TaskResource(CommandResource):
    commands = by_method(
        get="task.get", put="task.update", patch="task.update", delete="task.delete"
    )

    def get(self, task_id: int) -> Any:
        return self.run(target=task_id)

    def put(self, task_id: int) -> Any:
        """Change the fields that are sent, and nothing else."""
        return self.run(json_body(), target=task_id)

    patch = put

    def delete(self, task_id: int) -> Any:
        return self.run(target=task_id)
