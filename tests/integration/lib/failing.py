# SPDX-License-Identifier: BSD-3-Clause
"""Makes system calls of a running program fail when a test says so (failing_calls.c)."""
import errno
import mmap
import os
import struct
import time

from .daemon import build_directory

KINDS = {name: number + 1 for number, name in enumerate(
    ("open", "read", "seek", "write", "sync", "rename", "map", "allocate", "accept", "rename-flags"))}
ORDER = struct.Struct("=iiqqq")


class FailingCalls:
    """The program gets env(); then once() and during() say which calls fail."""

    def __init__(self, path):
        self.path = path
        path.write_bytes(bytes(mmap.PAGESIZE))
        with open(path, "r+b") as file:
            self.map = mmap.mmap(file.fileno(), mmap.PAGESIZE)

    def env(self):
        library = os.path.realpath(os.path.join(build_directory(), "tests/integration/libfailing-calls.so"))
        return {"LD_PRELOAD": library, "FAILING_CALLS": str(self.path)}

    def _order(self, kind, error, left, until):
        self.stop()
        ORDER.pack_into(self.map, 0, 0, getattr(errno, error), left, until, 0)
        # The kind comes last: it arms the failure.
        struct.pack_into("=i", self.map, 0, KINDS[kind])

    def once(self, kind, error, after=0):
        """Lets `after` calls of this kind succeed; the next one fails."""
        self._order(kind, error, after, 0)

    def during(self, kind, error, seconds):
        """All calls of this kind fail for `seconds`."""
        self._order(kind, error, 0, time.clock_gettime_ns(time.CLOCK_BOOTTIME) + int(seconds * 1e9))

    def stop(self):
        struct.pack_into("=i", self.map, 0, 0)

    @property
    def failed(self):
        """How many calls have failed since the last once() or during()."""
        return ORDER.unpack_from(self.map, 0)[4]

    def close(self):
        self.map.close()
