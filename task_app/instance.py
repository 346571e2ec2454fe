"""Who uses an instance: any number of servers and commands at once, or one command that puts
another database in the place of its own."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

NAME = ".in-use.lock"


class InstanceError(Exception):
    """Why the instance cannot be used, in one sentence for the operator."""


@contextmanager
def used(folder: str) -> Iterator[None]:
    """Use the instance beside others.  Raises `InstanceError` while somebody has it alone."""
    with _locked(folder, fcntl.LOCK_SH, "A database is being restored here; try again after it."):
        yield


@contextmanager
def alone(folder: str) -> Iterator[None]:
    """Have the instance alone.  Raises `InstanceError` while a server or a command uses it."""
    with _locked(folder, fcntl.LOCK_EX, "A server uses this instance; stop it first."):
        yield


@contextmanager
def _locked(folder: str, kind: int, refusal: str) -> Iterator[None]:
    # The lock goes with the descriptor: a process that is killed leaves none behind.
    try:
        descriptor = os.open(Path(folder) / NAME, os.O_RDONLY | os.O_CREAT, 0o600)
    except OSError as error:
        raise InstanceError(
            f"The instance folder {folder} cannot be used ({error.strerror}); "
            "let this user read and write it."
        ) from error
    try:
        try:
            fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise InstanceError(refusal) from error
        yield
    finally:
        os.close(descriptor)
