"""The list of tasks as a client of each transport and dialect reads it."""

from __future__ import annotations

import threading
from typing import Any

from tests.support.accounts import Person
from tests.support.readers import RawReader, connect

REST_PREFIX = {"socketio": "", "sse": "", "fiber": "/api/v1", "channels": "/api"}
Tasks = dict[int, dict[str, Any]]


def snapshot(transport: str, url: str, person: Person) -> tuple[Tasks, int, str]:
    """All tasks this person sees, by id, with the seq and the epoch from which to listen: those
    of the first page, where there are several."""
    if transport == "gin":  # this family has no list over REST
        return _over_socket(connect("gin", url, person))
    answer = person.rest.get(f"{REST_PREFIX[transport]}/tasks?limit=1000")
    seq, epoch = int(answer.headers["X-Event-Seq"]), answer.headers["X-Event-Epoch"]
    tasks: Tasks = {}
    while True:
        assert answer.status_code == 200, answer.text
        tasks |= {task["id"]: task for task in answer.json()}
        if "next" not in answer.links:
            return tasks, seq, epoch
        answer = person.rest.get(answer.links["next"]["url"])


def _over_socket(reader: RawReader) -> tuple[Tasks, int, str]:
    pages: list[dict[str, Any]] = []
    while not pages or pages[-1]["cursor"] is not None:
        more = {"cursor": pages[-1]["cursor"]} if pages else {}
        reader.send({"type": "list_tasks", "data": {"limit": 1000, **more}})
        pages.append(reader.notice("ack", count=len(pages) + 1)["data"])
    reader.close()
    tasks = {int(task["id"]): task for page in pages for task in page["tasks"]}
    return tasks, pages[0]["seq"], pages[0]["epoch"]


class Background(threading.Thread):
    """Runs a function beside the test; `finish` waits for it and raises what it raised."""

    def __init__(self, work: Any, *arguments: Any) -> None:
        super().__init__(daemon=True)
        self.work, self.arguments = work, arguments
        self.error: BaseException | None = None
        self.start()

    def run(self) -> None:
        try:
            self.work(*self.arguments)
        except BaseException as error:
            self.error = error

    def finish(self, seconds: float = 30) -> None:
        self.join(seconds)
        assert not self.is_alive()
        if self.error is not None:
            raise self.error
