#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""What unit tests write is gone when they have ended, however they end.

usage: tests/unit/test_scratch.py PROGRAM   (failing.c)
"""
import os
import signal
import subprocess
import sys
import tempfile

from lib.wait import wait_until


def check(how, status):
    with tempfile.TemporaryDirectory(prefix="nl") as parent:
        # Both for the program alone, not for the tests that run beside it.
        environment = {**os.environ, "TMPDIR": parent, "CK_FORK": "yes"}
        environment.pop("CK_TIMEOUT_MULTIPLIER", None)
        with subprocess.Popen([sys.argv[1], how], env=environment, stdout=subprocess.PIPE, text=True,
                              start_new_session=True) as program:
            directory = program.stdout.readline().rstrip("\n")
            assert directory.startswith(f"{parent}/"), f"{how}: wrote in {directory!r}"
            if how == "stop":
                # As a test runner ends what takes too long.
                os.killpg(program.pid, signal.SIGTERM)
            ended = program.wait(timeout=60)
        assert ended == status, f"{how}: ended with {ended}"
        wait_until(lambda: not os.listdir(parent), f"{how}: nothing left behind")


check("assert", 1)
check("crash", 1)
check("time out", 1)
check("stop", -signal.SIGTERM)
