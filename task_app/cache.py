"""Lists that were read a moment ago, for as long as nothing new has happened to their reader."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable

from task_app.pages import Page
from task_app.shared_pages import shared_pages, worth_it

MOST_CHARACTERS = 16 << 20
_ITEM = 500  # characters of an item beside its long texts, or so
_LONG = ("description", "message")


class PageCache:
    """Pages by question, each with the validator it was read under; the least used go first.

    A page in here is shared: nobody may change it.
    """

    def __init__(self, most: int = MOST_CHARACTERS) -> None:
        self.most = most
        self.size = 0
        self.pages: OrderedDict[Hashable, tuple[str, Page, int]] = OrderedDict()
        self.lock = threading.Lock()

    def get(self, question: Hashable, validator: str) -> Page | None:
        """The page, if it was read under this validator."""
        with self.lock:
            found = self.pages.get(question)
            if found is None or found[0] != validator:
                return None
            self.pages.move_to_end(question)
            return found[1]

    def seems_small(self, question: Hashable) -> bool:
        """Whether the answer was too short to share when it was last read here."""
        with self.lock:
            found = self.pages.get(question)
            return found is not None and not worth_it(found[1])

    def put(self, question: Hashable, validator: str, page: Page) -> None:
        weight = _ITEM + sum(
            _ITEM + sum(len(item.get(name) or "") for name in _LONG) for item in page.items
        )
        with self.lock:
            self._drop(question)
            self.pages[question] = validator, page, weight
            self.size += weight
            while self.size > self.most:
                self._drop(next(iter(self.pages)))

    def clear(self) -> None:
        with self.lock:
            self.pages.clear()
            self.size = 0

    def _drop(self, question: Hashable) -> None:
        found = self.pages.pop(question, None)
        if found is not None:
            self.size -= found[2]


pages = PageCache()


def page(question: Hashable, validator: str, read: Callable[[], Page]) -> Page:
    """The answer to a question: from this process's memory, from another process by way of
    Redis, or `read`.  `validator` must be of the moment that `read` sees."""
    found = pages.get(question, validator)
    if found is None:
        if not pages.seems_small(question):
            found = shared_pages.get(question, validator)
        if found is None:
            found = read()
            shared_pages.put(question, validator, found)
        pages.put(question, validator, found)
    return found
