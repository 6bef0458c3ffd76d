# SPDX-License-Identifier: BSD-3-Clause
"""Calls of a program that fail as a test orders (failing_calls.c), while it runs."""
import errno
import mmap
import os
import struct
import time

from .daemon import build_directory

KINDS = {name: number + 1 for number, name in enumerate(
    ("open", "read", "seek", "write", "sync", "rename", "map", "allocate", "accept"))}
ORDER = struct.Struct("=iiqqq")


class FailingCalls:
    """env() is for the program; then once() and during() say what is to fail next."""

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
        # The kind last: it is what arms it.
        struct.pack_into("=i", self.map, 0, KINDS[kind])

    def once(self, kind, error, after=0):
        """The call of this kind that comes after so many more fails."""
        self._order(kind, error, after, 0)

    def during(self, kind, error, seconds):
        """All calls of this kind fail from now on, for so long."""
        self._order(kind, error, 0, time.clock_gettime_ns(time.CLOCK_BOOTTIME) + int(seconds * 1e9))

    def stop(self):
        struct.pack_into("=i", self.map, 0, 0)

    @property
    def failed(self):
        """Calls that failed since the last order."""
        return ORDER.unpack_from(self.map, 0)[4]

    def close(self):
        self.map.close()
