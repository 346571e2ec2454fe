"""Keep a copy of your tasks, live, and miss nothing: Socket.IO with python-socketio.

    TASKS_PASSWORD=… python follow.py http://localhost:5000 alice

Type `print` to see the copy as JSON; Ctrl-C prints it once more and ends.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
import time
from typing import Any

import requests
import socketio

# What an event carries beside the task.
ENVELOPE = ("seq", "epoch", "type", "task", "actor_id", "changes", "at", "request_id")


class Follower:
    def __init__(self, url: str, username: str, password: str) -> None:
        self.url, self.login = url.rstrip("/"), {"username": username, "password": password}
        self.http = requests.Session()
        self.token: str | None = None
        self.tasks: dict[int, dict[str, Any]] = {}
        # Where we stand: the number of the last event, and the log it belongs to.
        self.seq, self.epoch = 0, ""
        # What the copy already knows: events up to the list, and the last of each task after it.
        self.listed, self.seen = 0, dict[int, int]()
        # python-socketio calls handlers in threads, perhaps not in the order events came.
        self.lock = threading.Lock()

        self.socket = socketio.Client(reconnection=False)  # `run` does that
        for name in ("task_created", "task_updated", "task_status_changed"):
            self.socket.on(name, self.task_changed)
        for name in ("task_deleted", "task_removed"):  # gone, or gone from our sight
            self.socket.on(name, self.task_gone)
        self.socket.on("resync", self.list_again)
        self.socket.on("ready", lambda ready: log(f"live, {ready['replayed']} events caught up"))

    def sign_in(self) -> None:
        answer = self.http.post(f"{self.url}/login", json=self.login, timeout=10)
        if answer.status_code in (400, 401):
            log(f"cannot sign in: {answer.json()['message']}")
            os._exit(1)  # a thread's sys.exit would end the thread alone
        answer.raise_for_status()
        self.token = answer.json()["access_token"]

    def list(self) -> None:
        """Read every page.  The first tells the event that the copy is up to date with."""
        tasks, where, path = {}, None, "/tasks?limit=1000"
        while path:
            answer = self.http.get(
                self.url + path, headers={"Authorization": f"Bearer {self.token}"}, timeout=10
            )
            answer.raise_for_status()
            where = where or (int(answer.headers["X-Event-Seq"]), answer.headers["X-Event-Epoch"])
            tasks |= {task["id"]: task for task in answer.json()}
            path = answer.links.get("next", {}).get("url")
        self.tasks, self.seen = tasks, {}
        self.seq, self.epoch = where
        self.listed = self.seq

    def list_again(self, resync: dict[str, Any]) -> None:
        """The server cannot bring us from where we stand to now."""
        log(f"list again: {resync['reason']}")
        with self.lock:  # events that come meanwhile wait, and are compared with the new list
            self.epoch = ""  # should this fail, we list before we connect again
            try:
                self.list()
            except requests.RequestException:
                self.socket.disconnect()

    def is_news(self, event: dict[str, Any]) -> bool:
        self.seq = max(self.seq, event["seq"])
        if event["seq"] <= self.seen.get(event["task"], self.listed):
            return False
        self.seen[event["task"]] = event["seq"]
        return True

    def task_changed(self, event: dict[str, Any]) -> None:
        with self.lock:
            if self.is_news(event):
                task = {key: value for key, value in event.items() if key not in ENVELOPE}
                self.tasks[task["id"]] = task

    def task_gone(self, event: dict[str, Any]) -> None:
        with self.lock:
            if self.is_news(event):
                self.tasks.pop(event["task"], None)

    def run(self) -> None:
        """Connect, and again whenever the connection breaks, from where we stand."""
        while True:
            try:
                if self.token is None:
                    self.sign_in()
                if not self.epoch:
                    with self.lock:
                        self.list()
                where = {"token": self.token, "since": self.seq, "epoch": self.epoch}
                self.socket.connect(self.url, auth=where, transports=["websocket"])
                self.socket.wait()
                log("connection lost")
            except (requests.RequestException, socketio.exceptions.ConnectionError) as error:
                log(f"not connected: {error}")
                self.token = None  # perhaps it has expired
            time.sleep(1)

    def answer(self) -> None:
        for line in sys.stdin:
            if line.strip() == "print":
                self.print()

    def print(self) -> None:
        with self.lock:
            tasks = [self.tasks[task_id] for task_id in sorted(self.tasks)]
        print(json.dumps(tasks), flush=True)


def log(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def main() -> None:
    given = sys.argv[1:]
    url = given[0] if given else os.environ.get("TASKS_URL", "http://localhost:5000")
    username = given[1] if len(given) > 1 else os.environ["TASKS_USERNAME"]
    password = given[2] if len(given) > 2 else os.environ["TASKS_PASSWORD"]
    follower = Follower(url, username, password)
    # Waited for, not raised in the middle of something: where Python ignores what is raised (it
    # tidies up), or just before it reads on, a Ctrl-C is lost.
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    for work in (follower.run, follower.answer):
        threading.Thread(target=work, daemon=True).start()
    signal.sigwait({signal.SIGINT})
    follower.print()
    os._exit(0)  # without waiting for the threads


if __name__ == "__main__":
    main()
