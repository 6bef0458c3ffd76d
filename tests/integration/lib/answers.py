# SPDX-License-Identifier: BSD-3-Clause
"""How long the daemon's loop takes to answer: asked all the time by a process of its own, while a test does things."""
import json
import os
import select
import signal
import time

from .varlink import Varlink


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
