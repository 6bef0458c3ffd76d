# SPDX-License-Identifier: BSD-3-Clause
"""Waits for a condition, with a deadline and without oversleeping."""
import select
import time

DEADLINE = 20.0
# How often to check when no descriptor signals the change.
TICK = 0.02


def wait_until(predicate, what, timeout=DEADLINE, fds=()):
    """Checks whenever one of fds becomes readable, and every TICK; returns the predicate's first true value.

    Raises a TimeoutError that says what was waited for and the last value seen.
    """
    deadline = time.monotonic() + timeout
    poll = select.poll()
    for fd in fds:
        poll.register(fd, select.POLLIN)
    while True:
        value = predicate()
        if value:
            return value
        left = deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError(f"{what}: not within {timeout} s (last seen: {value!r})")
        poll.poll(min(left, TICK) * 1000)


def wait_readable(fd, what, timeout=DEADLINE):
    """Waits until fd (a descriptor or a pidfd) is readable."""
    poll = select.poll()
    poll.register(fd, select.POLLIN)
    if not poll.poll(max(timeout, 0) * 1000):
        raise TimeoutError(f"{what}: not within {timeout} s")
