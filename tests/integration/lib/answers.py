# SPDX-License-Identifier: BSD-3-Clause
"""How long the daemon's loop takes to answer: asked all the time by a process of its own, while a test does things."""
import json
import os
import select
import signal
import time

from .daemon import sanitized
from .varlink import Varlink

# 50 ms are promised. A busy machine adds to that more than its own probe shows, so that only what is far beyond is
# an error; the figures are printed.
LIMIT = 200


class Answers:
    """Within it, a child asks for Status again and again; worst is the longest time that an answer took, in ms.

    What the machine itself costs is measured beside it: noise is the longest time that a wait of 1 ms took."""

    def __init__(self, path):
        self.path = path
        self.worst = self.noise = 0.0
        self.count = 0

    def _ask(self, end, result):
        found = {"worst": 0.0, "noise": 0.0, "count": 0}
        with Varlink(self.path) as client:
            while not select.select([end], [], [], 0)[0]:
                begun = time.monotonic()
                client.call("Status")
                done = time.monotonic()
                time.sleep(0.001)
                found["worst"] = max(found["worst"], (done - begun) * 1000)
                found["noise"] = max(found["noise"], (time.monotonic() - done) * 1000)
                found["count"] += 1
        os.write(result, json.dumps(found).encode())

    def __enter__(self):
        self.end_read, self.end = os.pipe()
        self.result, result = os.pipe()
        self.pid = os.fork()
        if self.pid == 0:
            try:
                os.close(self.end)
                self._ask(self.end_read, result)
            finally:
                os.kill(os.getpid(), signal.SIGKILL)
        os.close(result)
        return self

    def __exit__(self, *_):
        os.close(self.end)
        text = os.read(self.result, 4096)
        os.waitpid(self.pid, 0)
        for fd in (self.result, self.end_read):
            os.close(fd)
        assert text, "the asking process ended early"
        for name, value in json.loads(text).items():
            setattr(self, name, value)

    def check(self, what, limit=LIMIT):
        """That none took longer than is promised, or much longer than this machine lets anybody wait."""
        print(f"{what}: {self.count} answers, the slowest took {self.worst:.1f} ms "
              f"(a wait of 1 ms took {self.noise:.1f} ms at worst)")
        limit = limit * (3 if sanitized() else 1) + 3 * self.noise
        assert self.worst < limit, f"{what}: {self.worst:.1f} ms of at most {limit:.1f}"
