"""Accounts: one's own, and all of them for admins."""

from __future__ import annotations

from typing import Any

from flask import request

from task_app.resources.base import CommandResource, by_method, json_body


class ProfileResource(CommandResource):
    commands = by_method(get="user.profile", put="user.update_profile", patch="user.update_profile")

    def get(self) -> Any:
        return self.run()

    def put(self) -> Any:
        return self.run(json_body())

    patch = put


class PersonListResource(CommandResource):
    commands = by_method(get="person.list")

    def get(self) -> Any:
        """The names of all people, and who of them is connected, in pages."""
        return self.run(request.args.to_dict())


class UserListResource(CommandResource):
    commands = by_method(get="user.list", post="user.create")

    def get(self) -> Any:
        """All accounts, in pages, for admins."""
        return self.run(request.args.to_dict())

    def post(self) -> Any:
        return self.run(json_body())


class UserResource(CommandResource):
    commands = by_method(
        get="user.get", put="user.update", patch="user.update", delete="user.delete"
    )

    def get(self, user_id: int) -> Any:
        return self.run(target=user_id)

    def put(self, user_id: int) -> Any:
        return self.run(json_body(), target=user_id)

    patch = put

    def delete(self, user_id: int) -> Any:
        return self.run(request.args.to_dict(), target=user_id)
