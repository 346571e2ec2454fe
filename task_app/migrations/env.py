"""How Alembic reaches the application's database."""

from __future__ import annotations

from alembic import context
from alembic.util import CommandError
from sqlalchemy.exc import DBAPIError

from task_app import database, models  # noqa: F401 - fills the metadata
from task_app.extensions import db


def run() -> None:
    """Run the migrations.  Raises `CommandError`, which the flask command shows as a sentence."""
    try:
        _run()
    except (DBAPIError, OSError, database.Busy) as error:
        raise CommandError(database.sentence(error)) from error


def _run() -> None:
    """In one transaction, on the application's own engine, while nobody else does."""
    with database.alone(), db.engine.connect() as connection:
        context.configure(
            connection=connection,
            target_metadata=db.metadata,
            render_as_batch=True,
            transactional_ddl=True,
        )
        with context.begin_transaction():
            context.run_migrations()
        connection.commit()


run()
