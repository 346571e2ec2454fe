"""Ids that nobody can guess."""

from __future__ import annotations

import os
from collections.abc import Callable

AT_ONCE = 256


class Ids:
    """Ids of so many bytes of the system's randomness each, as `spell` writes them.  The system is
    asked for many at once: asking it for every one of them was a fortieth of what a connection
    costs."""

    def __init__(self, size: int, spell: Callable[[bytes], str]) -> None:
        self.size, self.spell = size, spell
        self.ready: list[str] = []

    def __call__(self) -> str:
        try:
            return self.ready.pop()
        except IndexError:
            drawn = os.urandom(self.size * AT_ONCE)
            parts = range(0, len(drawn), self.size)
            self.ready += [self.spell(drawn[at : at + self.size]) for at in parts]
            return self.ready.pop()
