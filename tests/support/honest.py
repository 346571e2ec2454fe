"""What honest clients do, of every kind: whatever is made or kept at a first request is there then.

So what grows afterwards, beside somebody else, grew by what that one did.
"""

from __future__ import annotations

from task_app.resources import PREFIXES
from tests.support.accounts import PASSWORD, Person, sign_in
from tests.support.clients import Rest
from tests.support.readers import TRANSPORTS, Reader, connect
from tests.support.server import Server
from tests.support.taps import RawTap, SocketIOTap

# Nearly a mebibyte, as much as a body may have.  What so long a one was read into stays with the
# allocator, whoever has sent it: 12 MB of a process of 112.
LONG = {"op": "create", "data": {"title": "Long", "description": "d" * 10_000}}
AT_ONCE = 100


def do_everything(server: Server, person: Person) -> None:
    """Over REST under each prefix, over each socket and the stream, and as much at once as is
    taken; of what was made nothing stays."""
    readers: list[Reader] = [connect(one, server.url, person) for one in TRANSPORTS]
    rest = sign_in(server.url, person.username, PASSWORD).rest
    for path in ("/health", "/profile", "/people", "/notifications", "/activity"):
        assert rest.get(path).status_code == 200, path
    for prefix in PREFIXES.values():
        _live(rest, f"{prefix}/tasks")
    _err(rest)
    _live_over_sockets(server.url, person, rest)
    _live_at_once(rest, readers)
    assert rest.get("/tasks").json() == []
    for reader in readers:
        reader.close()


def _live(rest: Rest, tasks: str) -> None:
    """A task, from its beginning to its end."""
    made = rest.post(tasks, {"title": "Sow"})
    one = f"{tasks}/{made.json()['id']}"
    rest.get(f"{tasks}?q=so&sort=title&limit=1")
    rest.patch(one, {"title": "Reap", "done": True}, headers={"If-Match": '"1"'})
    assert rest.get(one).json()["version"] == 2
    assert rest.delete(one).status_code == 200


def _err(rest: Rest) -> None:
    """As everybody does."""
    answers = (
        rest.get("/tasks/0"),
        rest.post("/tasks", {"title": ""}),
        rest.post("/login", {"username": "nobody", "password": "a wrong one"}),
    )
    assert [answer.status_code for answer in answers] == [404, 400, 401]


def _live_over_sockets(url: str, person: Person, rest: Rest) -> None:
    for spoken in (SocketIOTap(url, person), RawTap(url, "/ws/native", "native", person)):
        spoken.ask("create_task", {"title": "Sow"})
        spoken.ask("list_tasks", {"limit": 1})
        [made] = rest.get("/tasks").json()
        spoken.ask("update_task", {"id": made["id"], "title": "Reap"})
        spoken.ask("delete_task", {"id": made["id"]})
        spoken.close()


def _live_at_once(rest: Rest, readers: list[Reader]) -> None:
    """As much as one may ask for by one request, of which everybody hears."""
    made = rest.post("/tasks/bulk", {"operations": [LONG] * AT_ONCE})
    assert made.status_code == 200, made.text
    tasks = [one["task"]["id"] for one in made.json()["results"]]
    for reader in readers:
        reader.until(tasks[-1])
    ended = rest.post("/tasks/bulk", {"operations": [{"op": "delete", "id": n} for n in tasks]})
    assert ended.status_code == 200, ended.text
