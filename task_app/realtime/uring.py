"""One frame to many sockets by one call of the kernel: io_uring(7), Linux 5.6 and later.

A fan-out spends most of its time in `send`, and a third of that on the way into the kernel and
back: a thousand times Python's call, the interpreter's lock let go and taken again, the switch.
Here the thousand are handed over as one list.  Where the kernel does not let us (containers often
do not), everything works without.

The layouts are those of <linux/io_uring.h>, an interface to programs that does not change.
"""

from __future__ import annotations

import ctypes
import errno
import logging
import mmap
import os
import platform
import struct
import sys
from array import array

log = logging.getLogger(__name__)

SETUP, ENTER = 425, 426  # numbers of system calls, the same on every machine but Alpha
MACHINES = ("x86_64", "aarch64", "riscv64")
OFFSET_RING, OFFSET_ENTRIES = 0, 0x1000_0000
SINGLE_MMAP = 1  # a feature
WAIT = 1  # for what was submitted to be done
OP_SEND = 26
FLAGS = 0x40 | 0x4000  # MSG_DONTWAIT, MSG_NOSIGNAL
PARAMETERS = struct.Struct("=30I")
ENTRY = struct.Struct("=BBHiQQIIQ24x")  # opcode, flags, ioprio, fd, off, addr, len, msg_flags, data
RESULT = struct.Struct("=QiI")  # data, result, flags
MOST = 1024  # sockets at a time
LARGEST = 1 << 17  # bytes of a frame


class Unavailable(OSError):
    """The kernel does not let this process."""


class Ring:
    """`send` is for one thread at a time."""

    def __init__(self) -> None:
        """Raises `Unavailable`."""
        if sys.platform != "linux" or platform.machine() not in MACHINES:
            raise Unavailable(errno.ENOSYS, "io_uring is Linux's")
        self._call = ctypes.CDLL(None, use_errno=True).syscall
        self._call.restype = ctypes.c_long
        parameters = ctypes.create_string_buffer(PARAMETERS.size)
        self.descriptor = self._call(SETUP, MOST, parameters)
        if self.descriptor < 0:
            error = ctypes.get_errno()
            raise Unavailable(error, os.strerror(error))
        told = PARAMETERS.unpack(parameters.raw)
        if not told[5] & SINGLE_MMAP:
            os.close(self.descriptor)
            raise Unavailable(errno.ENOSYS, "the kernel is too old")
        self._lay_out(told[0], told[1], told[10:20], told[20:30])

    def _lay_out(
        self, entries: int, results: int, sq: tuple[int, ...], cq: tuple[int, ...]
    ) -> None:
        """Map what is shared with the kernel.  `sq` and `cq` are where things stand in it."""
        size = max(sq[6] + 4 * entries, cq[5] + RESULT.size * results)
        shared = memoryview(mmap.mmap(self.descriptor, size, offset=OFFSET_RING))
        asked = mmap.mmap(self.descriptor, ENTRY.size * entries, offset=OFFSET_ENTRIES)
        self.words = shared[: len(shared) & ~3].cast("I")
        self.asked_tail, self.done_head, self.done_tail = sq[1] // 4, cq[0] // 4, cq[1] // 4
        self.order = self.words[sq[6] // 4 :][:entries]
        self.results = shared[cq[5] : cq[5] + RESULT.size * results].cast("i")
        self.entries, self.done_size = entries, results
        # One buffer for the frame: so an entry changes in its descriptor and its length alone.
        self.frame = bytearray(LARGEST)
        address = ctypes.addressof(ctypes.c_char.from_buffer(self.frame))
        for number in range(entries):
            at = ENTRY.size * number
            ENTRY.pack_into(asked, at, OP_SEND, 0, 0, -1, 0, address, 0, FLAGS, number)
        fields = memoryview(asked).cast("I")
        self.descriptors, self.lengths = fields[1::16], fields[6::16]
        self.numbers = array("I", range(entries))

    def close(self) -> None:
        os.close(self.descriptor)

    def send(self, descriptors: list[int], frame: bytes) -> list[int]:
        """Send `frame`, of `LARGEST` bytes at most, to as many sockets as `MOST`, none of which
        is waited for.  For each: how many bytes it took, or an error's number below zero.

        Raises `OSError` when the kernel refuses; what was sent is not known then.
        """
        count, size = len(descriptors), len(frame)
        self.frame[:size] = frame
        self.descriptors[:count] = array("I", descriptors)
        self.lengths[:count] = array("I", (size,)) * count
        words = self.words
        tail = words[self.asked_tail]
        start = tail & (self.entries - 1)
        first = min(count, self.entries - start)
        self.order[start : start + first] = self.numbers[:first]
        self.order[: count - first] = self.numbers[first:count]
        words[self.asked_tail] = (tail + count) & 0xFFFF_FFFF
        self._enter(count)
        return self._take(count, size)

    def _enter(self, count: int) -> None:
        """Have the kernel do `count` entries, and wait for it."""
        submitted = 0
        head = self.words[self.done_head]
        while (self.words[self.done_tail] - head) & 0xFFFF_FFFF < count:
            done = self._call(ENTER, self.descriptor, count - submitted, count, WAIT, None, 0)
            if done >= 0:
                submitted += done
            elif ctypes.get_errno() != errno.EINTR:
                error = ctypes.get_errno()
                raise OSError(error, os.strerror(error))

    def _take(self, count: int, size: int) -> list[int]:
        """The results of the last `count` entries, in the entries' order."""
        head = self.words[self.done_head]
        start = head & (self.done_size - 1)
        first = min(count, self.done_size - start)
        told = self.results[4 * start : 4 * (start + first)].tolist()
        told += self.results[: 4 * (count - first)].tolist()
        self.words[self.done_head] = (head + count) & 0xFFFF_FFFF
        found = told[2::4]
        if found.count(size) == count:
            return found
        # They need not have been done in order.
        ordered = [0] * count
        for number, result in zip(told[::4], found, strict=True):
            ordered[number] = result
        return ordered


def ring() -> Ring | None:
    """One, if the kernel lets us."""
    try:
        return Ring()
    except Unavailable as reason:
        log.info("events are written one socket after the other: no io_uring (%s)", reason)
        return None
