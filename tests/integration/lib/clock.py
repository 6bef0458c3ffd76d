# SPDX-License-Identifier: BSD-3-Clause
"""Clocks of a daemon that a test moves."""
import os
import struct

from .daemon import build_directory


class ShiftedClock:
    """Moves the wall clock and the boot-time clock of a daemon started with env."""

    def __init__(self, path):
        self.path = path
        self.wall = self.boot = 0
        self.write()
        library = os.path.realpath(os.path.join(build_directory(), "tests/integration/libshifted-clock.so"))
        asan = os.environ.get("ASAN_OPTIONS", "")
        self.env = {"LD_PRELOAD": library, "SHIFTED_CLOCK": str(path),
                    "ASAN_OPTIONS": f"{asan}{':' if asan else ''}verify_asan_link_order=0"}

    def write(self):
        # In place, since the file is mapped.
        with open(self.path, "r+b" if self.path.exists() else "wb") as file:
            file.write(struct.pack("=qq", self.wall, self.boot))

    def step(self, nanoseconds):
        """As when somebody sets the wall clock."""
        self.wall += nanoseconds
        self.write()

    def suspend(self, nanoseconds):
        """As in suspend: time passes on all clocks except the monotonic one."""
        self.boot += nanoseconds
        self.step(nanoseconds)
