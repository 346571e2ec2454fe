"""What waits to be written to one connection, bounded."""

from __future__ import annotations

import threading
from collections import deque
from typing import Generic, TypeVar

Message = TypeVar("Message", str, bytes)
MAX_MESSAGES = 256
MAX_BYTES = 1 << 20
# A client that has reached the bound is closed ten seconds later at most: so long it may take to
# read, and so long its last messages, the close frame among them, may take to get out.
DRAIN_SECONDS = 6
FAREWELL_SECONDS = 1


def is_full(messages: int, size: int) -> bool:
    """Whether as many messages, or bytes, wait for one client as may."""
    return messages >= MAX_MESSAGES or size >= MAX_BYTES


def has_room(messages: int, size: int) -> bool:
    """Whether less than a quarter of what may wait does: who waited for room goes on then."""
    return messages < MAX_MESSAGES // 4 and size < MAX_BYTES // 4


class Outbox(Generic[Message]):
    """A queue of encoded messages between whoever delivers and the connection's writer.

    It never grows past `MAX_MESSAGES` or `MAX_BYTES`: past that `put` says no until the client
    has read.
    """

    def __init__(self) -> None:
        self.waiting: deque[Message] = deque()
        self.bytes = 0
        self.closed = False
        self.being_written = False
        self.changed = threading.Condition()

    def put(self, message: Message, *, always: bool = False) -> bool:
        """Add a message.  False when there is no room for it; it is not added then, unless
        `always`."""
        with self.changed:
            if self.closed:
                return True  # nobody will read it, and nobody has to be told
            # What waits already decides, not how long the next one is: whoever was told that
            # there is room must be able to put any message, or it would ask for ever.
            if is_full(len(self.waiting), self.bytes) and not always:
                return False
            self.waiting.append(message)
            self.bytes += len(message)
            self.changed.notify_all()
            return True

    def take(self, timeout: float) -> list[Message] | None:
        """All that waits; empty when nothing came for `timeout` seconds, None at the end.

        Whoever calls has written what it took the last time.
        """
        with self.changed:
            self.being_written = False
            self.changed.notify_all()
            if not self.waiting and not self.closed:
                self.changed.wait(timeout)
            if self.closed and not self.waiting:
                return None
            messages, self.bytes = list(self.waiting), 0
            self.waiting.clear()
            self.being_written = bool(messages)
            self.changed.notify_all()
            return messages

    def close(self, discard: bool = False) -> None:
        """No more messages; what waits is still taken, unless it is discarded."""
        with self.changed:
            self.closed = True
            if discard:
                self.waiting.clear()
            self.changed.notify_all()

    def wait_for_room(self, timeout: float) -> bool:
        """Until less than a quarter is full.  False when that took too long, or at the end."""
        with self.changed:
            ready = self.changed.wait_for(self._has_room, timeout)
            return ready and not self.closed

    def wait_until_written(self, timeout: float) -> None:
        """Until nothing waits and the last that was taken has been written, or for `timeout`."""
        with self.changed:
            self.changed.wait_for(lambda: not self.waiting and not self.being_written, timeout)

    def _has_room(self) -> bool:
        return self.closed or has_room(len(self.waiting), self.bytes)
