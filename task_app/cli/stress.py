"""`stress`: many tasks by many clients, while listeners count what they are told."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import signal
import time
from collections import Counter
from pathlib import Path
from typing import Any

import click
from flask import current_app
from rich.console import Console
from rich.progress import Progress

from task_app.cli.common import OneSentence, ask_password, progress, sentence
from task_app.cli.stress_clients import Http, Refused, WebSocket, Where
from task_app.cli.stress_report import Outcome, Unplotted, plot, plotter, show

BULK = 500
OPEN_AT_ONCE = 50  # so that a thousand listeners are not refused for want of a backlog


def _number(name: str, short: str, numbers: tuple[int, int, int], help: str) -> Any:
    """An option with its least, its default and its most."""
    least, default, most = numbers
    kind = click.IntRange(least, most)
    return click.option(name, short, default=default, show_default=True, type=kind, help=help)


@click.command("stress", cls=OneSentence)
@click.option("--url", help="The server; by default that of HOST and PORT.")
@_number("--tasks", "-n", (1, 1000, 10**6), "How many to make.")
@_number("--clients", "-c", (1, 10, 5000), "How many make them, each its next after an answer.")
@_number("--listeners", "-l", (0, 20, 5000), "How many raw WebSockets count the events.")
@click.option(
    "--over",
    type=click.Choice(("rest", "sockets")),
    default="rest",
    show_default=True,
    help="How the tasks are made.",
)
@click.option("--user", help="Who to sign in as; by default an account is registered for the run.")
@click.option("--patience", default=10.0, show_default=True, help="Seconds to wait for an event.")
@click.option("--keep", is_flag=True, help="Leave the tasks there.")
@click.option(
    "--plot",
    "picture",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Draw the times into a PNG.",
)
def stress(picture: Path | None, url: str | None, user: str | None, **options: Any) -> None:
    """Make many tasks by several clients at once, over REST or raw WebSockets, while listeners
    count the events they get.

    Shows rates, latencies and a histogram.  The exit code is 0 only when every task was made and
    every listener saw every event once, in order.
    """
    try:
        pyplot = _plotter_for(picture) if picture else None
        where = Where.of(url or f"http://{current_app.config['HOST']}:{current_app.config['PORT']}")
        password = ask_password("Password", confirm=False) if user else None
        with progress() as bar:
            outcome = asyncio.run(Run(where, bar, **options).run(user, password))
    except ValueError as error:
        raise click.ClickException(f"--url {url!r} cannot be used: {error}.") from error
    except (Refused, Unplotted) as error:
        raise click.ClickException(sentence(error)) from error
    except asyncio.IncompleteReadError as error:
        raise click.ClickException("The server has closed a connection.") from error
    except asyncio.CancelledError:  # Ctrl-C
        raise click.Abort from None
    console = Console()
    show(console, outcome)
    if picture:
        plot(pyplot, outcome, picture)
        click.echo(f"Wrote {picture}.")
    if not outcome.good:
        raise click.ClickException(outcome.verdict())
    click.echo(outcome.verdict())


def _plotter_for(picture: Path) -> Any:
    """Before the work, and not after it.  Raises `Unplotted`."""
    if not picture.absolute().parent.is_dir():
        raise Unplotted(f"There is no folder {picture.absolute().parent} for the picture.")
    return plotter()


class Run:
    """One run.  Task number n is called `<name> n`, by which listeners know it."""

    def __init__(
        self,
        where: Where,
        bar: Progress,
        *,
        tasks: int,
        clients: int,
        listeners: int,
        over: str,
        patience: float,
        keep: bool,
    ) -> None:
        self.where, self.bar = where, bar
        self.clients, self.over, self.patience, self.keep = clients, over, patience, keep
        self.name = f"stress {secrets.token_hex(4)}"
        self.sent: dict[int, float] = {}
        self.numbers = iter(range(tasks))
        self.outcome = Outcome(tasks, seen=[Counter() for _ in range(listeners)])
        self.ids: list[int] = []
        self.latest = 0.0  # when the last event came
        self.interrupted = False

    async def run(self, user: str | None, password: str | None) -> Outcome:
        """Raises `Refused` when it cannot be done at all, `OSError` when nobody is there, and
        `CancelledError` at Ctrl-C, when what was made is deleted."""
        # As `asyncio.run` does it from Python 3.11 on; before, it ends every task at once.
        me: Any = asyncio.current_task()
        asyncio.get_running_loop().add_signal_handler(signal.SIGINT, me.cancel)
        token = await self._sign_in(user, password)
        background: list[asyncio.Task[None]] = []
        try:
            doing = self.bar.add_task("Listeners", total=len(self.outcome.seen))
            room = asyncio.Semaphore(OPEN_AT_ONCE)
            begun = [self._listener(token, seen, room, background) for seen in self.outcome.seen]
            for ready in asyncio.as_completed(begun):
                await ready
                self.bar.advance(doing)
            await self._make_all(token, background)
            await self._wait_for_events()
        finally:
            for task in background:
                task.cancel()
            await asyncio.gather(*background, return_exceptions=True)
            if not self.keep:
                await self._clean_up(token)  # after Ctrl-C as well
        return self.outcome

    async def _sign_in(self, user: str | None, password: str | None) -> str:
        door = Http(self.where)
        try:
            if user is None:
                user, password = self.name, secrets.token_urlsafe(24)
                await door.post("/register", {"username": user, "password": password})
            answer = await door.post("/login", {"username": user, "password": password})
        except OSError as error:
            where = f"{self.where.host}:{self.where.port}"
            raise Refused(
                f"No server answers at {where}; start one, or name it with --url"
            ) from error
        finally:
            door.close()
        token: str = answer["access_token"]
        return token

    async def _listener(
        self,
        token: str,
        seen: Counter[int],
        room: asyncio.Semaphore,
        background: list[asyncio.Task[None]],
    ) -> None:
        """Open a listener that counts into `seen` until the run ends; returns once it is ready."""
        async with room:
            ready: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            background.append(asyncio.create_task(self._listen(token, seen, ready)))
            await ready

    async def _listen(self, token: str, seen: Counter[int], ready: asyncio.Future[None]) -> None:
        socket, reached = WebSocket(self.where, token), 0
        try:
            async for message in socket.messages():
                kind = message["type"]
                if kind == "ready" and not ready.done():
                    ready.set_result(None)
                elif kind == "task_created" and message["data"]["title"].startswith(self.name):
                    self._count(message, seen)
                    self.outcome.disordered += message["seq"] <= reached
                    reached = message["seq"]
            raise Refused("the server has closed a listener")
        except (Refused, OSError) as error:
            if not ready.done():
                ready.set_exception(error)
            else:
                self.outcome.failures[str(error)] += 1
        finally:
            socket.close()

    def _count(self, message: Any, seen: Counter[int]) -> None:
        now = time.perf_counter()
        number = int(message["data"]["title"].rpartition(" ")[2])
        seen[number] += 1
        self.latest = now
        self.outcome.deliveries.append(now - self.sent[number])

    async def _make_all(self, token: str, background: list[asyncio.Task[None]]) -> None:
        doing = self.bar.add_task("Tasks", total=self.outcome.tasks)
        makers: list[Any] = []
        for _ in range(min(self.clients, self.outcome.tasks)):
            if self.over == "rest":
                makers.append(Http(self.where, token))
            else:
                makers.append(await self._socket(token, background))
        self.started = time.perf_counter()
        making = [asyncio.create_task(self._make(maker, doing)) for maker in makers]
        try:
            await asyncio.wait(making)
        except asyncio.CancelledError:  # Ctrl-C: what is under way is made, and can be deleted
            self.interrupted = True
            await asyncio.wait(making, timeout=self.patience)
            raise
        for made in making:
            made.result()
        self.outcome.took = time.perf_counter() - self.started
        for maker in makers:
            maker.close()

    async def _socket(self, token: str, background: list[asyncio.Task[None]]) -> WebSocket:
        socket = WebSocket(self.where, token)
        ready: asyncio.Future[None] = asyncio.get_running_loop().create_future()

        async def answers() -> None:
            try:
                async for message in socket.messages():
                    if message["type"] == "ready":
                        ready.set_result(None)
                    else:
                        socket.settle(message)
            except (Refused, OSError) as error:
                if not ready.done():
                    ready.set_exception(error)
            socket.close()  # whoever waits for an answer waits no more

        background.append(asyncio.create_task(answers()))
        await ready
        return socket

    async def _make(self, maker: Any, doing: Any) -> None:
        """One client: takes the next number as soon as it has an answer."""
        for number in self.numbers:
            if self.interrupted:
                return
            began = self.sent[number] = time.perf_counter()
            try:
                self.ids.append(await maker.create(f"{self.name} {number}"))
            except Refused as error:
                self.outcome.failures[str(error)] += 1
            except (OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
                self.outcome.failures["the connection was closed"] += 1
                return
            else:
                self.outcome.answers.append(time.perf_counter() - began)
            self.bar.advance(doing)

    async def _wait_for_events(self) -> None:
        """Until every listener has had everything, or nothing has come for `patience` seconds.

        A moment longer, for what might come twice.
        """
        expected = len(self.outcome.answers) * len(self.outcome.seen)
        self.latest = max(self.latest, time.perf_counter())
        while len(self.outcome.deliveries) < expected:
            if time.perf_counter() - self.latest > self.patience:
                return
            await asyncio.sleep(0.02)
        self.outcome.delivered = self.latest - self.started
        await asyncio.sleep(0.2)

    async def _clean_up(self, token: str) -> None:
        """Delete what was made."""
        door = Http(self.where, token)
        with contextlib.suppress(Refused, OSError, asyncio.IncompleteReadError):
            for at in range(0, len(self.ids), BULK):
                operations = [{"op": "delete", "id": one} for one in self.ids[at : at + BULK]]
                await door.post("/tasks/bulk", {"operations": operations})
        door.close()
