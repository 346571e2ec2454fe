"""`tasks`: from and into files, JSON lines or CSV."""

from __future__ import annotations

import codecs
import csv
import hashlib
import os
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import click
from sqlalchemy import func, select

from task_app import database, jsonio, queries
from task_app.cli.common import Group, admin, as_admin, console, open_database, progress, sentence
from task_app.commands import COMMANDS, execute
from task_app.errors import AppError
from task_app.extensions import table
from task_app.models import Task
from task_app.schemas import load

PAGE = 1_000
SHOWN_FAULTS = 10
FIELDS = tuple(column.name for column in queries.TASK_COLUMNS)
Row = dict[str, Any]
form = click.option(
    "--format",
    "form",
    type=click.Choice(("jsonl", "csv")),
    help="Of the file; by its name's end when not given, else jsonl.",
)


@click.group(cls=Group)
def tasks() -> None:
    """Take tasks from a file, and write them to one."""


def _form(file: Path, form: str | None) -> str:
    return form or ("csv" if file.suffix.lower() == ".csv" else "jsonl")


@tasks.command("import")
@click.argument("file", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@form
@as_admin
def import_tasks(file: Path, form: str | None, admin_name: str) -> None:
    """Make the tasks of FILE, with the fields of `POST /tasks` (a CSV's first line names them).

    Nothing is made unless every line can be used.  Interrupted, it goes on where it was: for a
    day a line that this admin has made, of whatever file, is not made again.  Columns that only a
    server sets (id, version, …) are passed over, so that what `export` wrote can be read.
    """
    open_database()
    actor = admin(admin_name)
    rows = _READERS[_form(file, form)]
    number = _check(rows(file))
    made = repeated = 0
    seen: Counter[str] = Counter()
    with progress() as bar:
        doing = bar.add_task("Importing", total=number)
        for line, row in rows(file):
            key = _key(row, seen)
            try:
                done = execute(actor, "task.create", row, request_id=key)
            except AppError as error:
                raise click.ClickException(
                    f"Line {line}: {sentence(error)} {made} tasks were made before it; mend it "
                    "and import again."
                ) from error
            except KeyboardInterrupt:
                raise click.ClickException(
                    f"Interrupted: {made} tasks were made; import again to go on."
                ) from None
            made, repeated = made + (not done.replayed), repeated + done.replayed
            bar.advance(doing)
    again = f", {repeated} had been made before" if repeated else ""
    click.echo(f"{made} tasks were made{again}.")


def _key(row: Row, seen: Counter[str]) -> str:
    """The idempotency key of a row: by what is in it, so that a mended file can be imported
    again, and by how many like it came before."""
    digest = hashlib.sha256(jsonio.dumps_bytes(sorted(row.items()))).hexdigest()[:32]
    seen[digest] += 1
    return f"import:{digest}:{seen[digest]}"


def _check(rows: Iterator[tuple[int, Row]]) -> int:
    """How many rows there are, once each is known to be usable."""
    number, faults = 0, 0
    schema = COMMANDS["task.create"].schema
    for line, row in rows:
        number += 1
        try:
            load(schema, row)
        except AppError as error:
            faults += 1
            if faults <= SHOWN_FAULTS:
                click.echo(f"line {line}: {sentence(error)}", err=True)
    if faults:
        raise click.ClickException(f"{faults} of {number} lines cannot be used; nothing was made.")
    return number


def _json_lines(file: Path) -> Iterator[tuple[int, Row]]:
    with file.open("rb") as lines:
        for number, line in enumerate(lines, 1):
            if number == 1:
                line = line.removeprefix(codecs.BOM_UTF8)
            if not line.strip():
                continue
            try:
                row = jsonio.loads(line)
            except jsonio.JsonError as error:
                raise click.ClickException(f"Line {number} is no JSON: {error}.") from error
            if not isinstance(row, dict):
                raise click.ClickException(f"Line {number} is no JSON object.")
            yield number, row


def _csv(file: Path) -> Iterator[tuple[int, Row]]:
    """An empty cell is a field that is not given."""
    with file.open(newline="", encoding="utf-8-sig") as lines:
        reader = csv.DictReader(lines, strict=True)
        try:
            for row in reader:
                if None in row or None in row.values():
                    raise click.ClickException(
                        f"Line {reader.line_num} has not as many cells as the first."
                    )
                yield reader.line_num, {name: cell for name, cell in row.items() if cell != ""}
        except (csv.Error, UnicodeDecodeError) as error:
            raise click.ClickException(f"Line {reader.line_num + 1} is no CSV: {error}.") from error


_READERS: dict[str, Callable[[Path], Iterator[tuple[int, Row]]]] = {
    "jsonl": _json_lines,
    "csv": _csv,
}


@tasks.command("export")
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@form
@click.option("--force", is_flag=True, help="Write over a file that is there.")
@as_admin
def export(file: Path, form: str | None, force: bool, admin_name: str) -> None:
    """Write every task to FILE, by id.

    Interrupted, it goes on where it was when it is started again: until it is done, FILE.part and
    FILE.progress have how far it came.
    """
    if file.exists() and not force:
        raise click.ClickException(f"{file} is there already; --force writes over it.")
    open_database()
    actor = admin(admin_name)
    with database.reading() as tx:
        number = tx.execute(select(func.count()).select_from(table(Task))).scalar_one()
    with _Draft(file, _form(file, form)) as draft, progress() as bar:
        doing = bar.add_task("Exporting", total=number, completed=draft.rows)
        more = not draft.complete
        while more:
            query: Row = {"sort": "id", "limit": PAGE}
            if draft.cursor:
                query["cursor"] = draft.cursor
            page = execute(actor, "task.list", query).page
            assert page is not None  # noqa: S101 - what lists are
            more = page.cursor is not None
            draft.add(page.items, page.cursor)
            bar.update(doing, completed=draft.rows)
    draft.finish()
    click.echo(f"Wrote {draft.rows} tasks to {file}.")


class _Draft:
    """A file while it is written: FILE.part, and FILE.progress which says how much of it is
    good (`size`, bytes) and what comes next (`cursor`)."""

    def __init__(self, file: Path, form: str) -> None:
        self.file, self.form = file, form
        self.part = file.with_name(f"{file.name}.part")
        self.progress = file.with_name(f"{file.name}.progress")
        self.cursor: str | None = None
        self.rows, size, self.complete = 0, 0, False
        if self.progress.exists() and self.part.exists():
            kept = self._kept()
            if kept["form"] == form:
                self.cursor, self.rows, size = kept["cursor"], kept["rows"], kept["size"]
                self.complete = self.cursor is None
                console.print(f"Going on after {self.rows} tasks.")
        descriptor = os.open(self.part, os.O_WRONLY | os.O_CREAT, 0o600)
        os.ftruncate(descriptor, size)
        self.stream = os.fdopen(descriptor, "a", newline="", encoding="utf-8")

    def _kept(self) -> Row:
        try:
            kept: Row = jsonio.loads(self.progress.read_bytes())
            return {name: kept[name] for name in ("form", "cursor", "rows", "size")}
        except (jsonio.JsonError, TypeError, KeyError) as error:
            raise click.ClickException(
                f"{self.progress} cannot be used; delete it to begin anew."
            ) from error

    def __enter__(self) -> _Draft:
        return self

    def __exit__(self, *_: Any) -> None:
        self.stream.close()

    def add(self, items: list[Row], cursor: str | None) -> None:
        if self.form == "csv":
            writer = csv.DictWriter(self.stream, FIELDS, extrasaction="ignore")
            if not self.rows:
                writer.writeheader()
            writer.writerows(items)
        else:
            self.stream.writelines(f"{jsonio.dumps(item)}\n" for item in items)
        self.stream.flush()
        os.fsync(self.stream.fileno())
        self.rows += len(items)
        self.cursor = cursor
        size = os.fstat(self.stream.fileno()).st_size
        kept = {"form": self.form, "cursor": cursor, "rows": self.rows, "size": size}
        draft = self.progress.with_name(f".{self.progress.name}")
        draft.write_bytes(jsonio.dumps_bytes(kept))
        os.replace(draft, self.progress)

    def finish(self) -> None:
        os.replace(self.part, self.file)
        self.progress.unlink()
