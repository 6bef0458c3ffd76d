# SPDX-License-Identifier: BSD-3-Clause
"""Processes that end with the test, however it ends."""
import os
import signal
import subprocess

from .wait import wait_readable


def dies_with_us(command):
    """The command, wrapped so that the kernel kills it when this process ends, even by SIGKILL."""
    return ["setpriv", "--pdeathsig", "KILL", *command]


def peak_memory(pid):
    """The peak memory of a process, in MiB."""
    with open(f"/proc/{pid}/status", encoding="ascii") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmHWM")) / 1024


class Process:
    """A child whose output goes to a file. Must be started from the main thread (see dies_with_us)."""

    def __init__(self, command, log, env=None, cwd=None, pass_fds=(), stdin=subprocess.DEVNULL):
        self.command = [str(word) for word in command]
        self.log = log
        self.output = None
        with open(log, "ab") as out:
            self.popen = subprocess.Popen(dies_with_us(self.command), stdin=stdin, stdout=out, stderr=out, cwd=cwd,
                                          env={**os.environ, **(env or {})}, pass_fds=pass_fds)
        self.pid = self.popen.pid
        self.pidfd = os.pidfd_open(self.pid)

    @property
    def running(self):
        return self.popen.poll() is None

    def text(self):
        with open(self.log, encoding="utf-8", errors="replace") as log:
            return log.read()

    def signal(self, number):
        self.popen.send_signal(number)

    def wait(self, timeout=20.0):
        """Returns the exit status; after timeout seconds raises TimeoutError and leaves the process running."""
        if self.running:
            wait_readable(self.pidfd, f"end of {self.command[0]}", timeout)
        return self.popen.wait()

    def terminate(self, timeout=20.0):
        if self.running:
            self.signal(signal.SIGTERM)
        return self.wait(timeout)

    def kill(self):
        if self.running:
            self.signal(signal.SIGKILL)
        return self.popen.wait()

    def close(self):
        """For clean-up: kills it."""
        self.kill()
        if self.pidfd >= 0:
            os.close(self.pidfd)
            self.pidfd = -1


def run(command, timeout=60.0, check=True, stdin=None, env=None):
    """Runs a command to completion; returns the CompletedProcess with text output, or fails and shows all of it."""
    command = [str(word) for word in command]
    result = subprocess.run(dies_with_us(command), stdin=subprocess.DEVNULL if stdin is None else None, input=stdin,
                            capture_output=True, text=True, timeout=timeout, check=False,
                            env={**os.environ, **(env or {})})
    if check and result.returncode != 0:
        raise AssertionError(f"{' '.join(command)}: exit status {result.returncode}\n{result.stdout}{result.stderr}")
    return result


def children(pid):
    """The pids of a process's children."""
    found = []
    for task in os.listdir(f"/proc/{pid}/task"):
        try:
            with open(f"/proc/{pid}/task/{task}/children", encoding="ascii") as listing:
                found += [int(word) for word in listing.read().split()]
        except FileNotFoundError:
            continue
    return found


def process_name(pid):
    """None if there is no such process."""
    try:
        with open(f"/proc/{pid}/comm", encoding="ascii") as comm:
            return comm.read().strip()
    except (FileNotFoundError, ProcessLookupError):
        return None
