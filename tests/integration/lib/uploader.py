# SPDX-License-Identifier: BSD-3-Clause
"""The uploader on its own: a test program fills the spool, and the test plays the daemon."""
import json
import os
import signal
import socket
import subprocess
import threading

from .daemon import SANITIZER, build_directory, program
from .process import Process, dies_with_us, run
from .wait import wait_until

PUBLIC_ZERO = "0" * 64


def spool_fill():
    return os.environ.get("NETLOGD_SPOOL_FILL") or os.path.realpath(
        os.path.join(build_directory(), "tests/integration/spool-fill"))


class Uploader:
    """One uploader on one state directory. start() may be called again after stop() or kill()."""

    def __init__(self, directory, sinks, sections=None):
        self.directory = directory
        self.state = directory / "state"
        self.spool = self.state / "spool"
        self.upload = self.state / "upload"
        self.config = directory / "netlogd.conf"
        self.log_file = directory / "upload.log"
        self.process = None
        self.next_seq = 1
        self.sections = {
            "netlogd": {"state-directory": self.state, "control-socket": directory / "control.sock",
                        "log-level": "debug"},
            "tun": {"source": "none"},
            "sock": {"source": "none"},
            **(sections or {}),
        }
        self.sinks = {}
        self.state.mkdir(mode=0o700, exist_ok=True)
        self.configure(sinks)

    def configure(self, sinks):
        """Writes the configuration with these sinks only."""
        self.sinks = sinks
        sections = {**self.sections, **{f"upload {name}": keys for name, keys in sinks.items()}}
        lines = []
        for section, keys in sections.items():
            lines.append(f"[{section}]")
            lines += [f"{key}={value}" for key, value in keys.items()]
        self.config.write_text("\n".join(lines) + "\n", encoding="utf-8")

    def fill(self, count, **options):
        """Appends messages with the next numbers to the spool; returns when they are on disk."""
        run(self.fill_command(count, **options))

    def fill_command(self, count, **options):
        command = [spool_fill(), str(self.spool), str(count), "--first", str(self.next_seq)]
        self.next_seq += count
        for name, value in options.items():
            command += [f"--{name.replace('_', '-')}"] + ([] if value is True else [str(value)])
        if "upload" not in options:
            command += ["--upload", str(self.upload)]
            for name in self.sinks:
                command += ["--sink", name]
        return command

    def fill_beside(self, count, **options):
        """The same, in the background."""
        return subprocess.Popen(dies_with_us(self.fill_command(count, **options)))

    def start(self, arguments=(), env=None, pass_fds=()):
        self.process = Process([program("netlogd-upload"), "--config", self.config, *arguments], self.log_file,
                               env=env, pass_fds=pass_fds)
        return self

    def reload(self):
        self.process.signal(signal.SIGHUP)

    def kill(self):
        self.process.kill()
        self.process.close()

    def stop(self, timeout=10.0):
        status = self.process.terminate(timeout)
        self.process.close()
        assert status == 0, f"exit status {status}: {self.log()}"
        self.check_log()

    def close(self):
        if self.process is not None:
            self.process.close()
            self.check_log()

    def log(self):
        return self.log_file.read_text(errors="replace") if self.log_file.exists() else ""

    def check_log(self):
        assert not SANITIZER.search(self.log()), self.log()

    def private_id(self):
        return (self.upload / "node.logid").read_text().strip()

    def quarantined(self, sink):
        """The messages in a sink's quarantine, oldest first."""
        folder = self.upload / sink / "quarantine"
        files = sorted(folder.iterdir()) if folder.is_dir() else []
        return [json.loads(path.read_text()) for path in files]


class DaemonSide:
    """Plays the daemon on upload.sock: serves Watch, Identify, Report and Flushed."""

    def __init__(self, path=None, connection=None):
        self.changed = threading.Condition()
        self.identity = None
        self.sinks = {}
        self.reports = []
        self.flushed = {}
        self.watch = None
        self.connections = 0
        self.closed = False
        self.listener = None
        self.threads = []
        if connection is not None:
            self._spawn(self._serve, connection)
        else:
            self.listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            self.listener.bind(str(path))
            self.listener.listen(4)
            self._spawn(self._accept, self.listener)

    def _spawn(self, function, *arguments):
        thread = threading.Thread(target=function, args=arguments, daemon=True)
        thread.start()
        self.threads.append(thread)

    def _accept(self, listener):
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            self._spawn(self._serve, connection)

    def _serve(self, connection):
        data = b""
        with self.changed:
            self.connections += 1
        while True:
            try:
                piece = connection.recv(65536)
            except OSError:
                piece = b""
            if not piece:
                break
            data += piece
            while b"\0" in data:
                text, data = data.split(b"\0", 1)
                self._handle(connection, json.loads(text))
        with self.changed:
            if self.watch is connection:
                self.watch = None
            self.changed.notify_all()
        connection.close()

    def _handle(self, connection, request):
        method = request["method"].rsplit(".", 1)[1]
        parameters = request.get("parameters", {})
        with self.changed:
            if method == "Watch":
                assert request["more"]
                self.watch = connection
            else:
                assert request.get("oneway"), request
            if method == "Identify":
                self.identity = parameters
            elif method == "Report":
                self.sinks = {sink["name"]: sink for sink in parameters["sinks"]}
                self.reports.append(self.sinks)
            elif method == "Flushed":
                self.flushed[parameters["id"]] = parameters
            self.changed.notify_all()

    def tell(self, **event):
        """Sends one event to the uploader."""
        message = json.dumps({"parameters": event, "continues": True}).encode() + b"\0"
        self.wait(lambda: self.watch, "Watch").sendall(message)

    def wait(self, predicate, what, timeout=20.0):
        with self.changed:
            if not self.changed.wait_for(predicate, timeout):
                raise TimeoutError(f"{what}: not within {timeout} s; sinks: {self.sinks}")
            return predicate()

    def wait_sink(self, name, predicate, what="sink", timeout=20.0):
        """Waits for a report of this sink that satisfies the predicate; returns it."""
        self.wait(lambda: name in self.sinks and predicate(self.sinks[name]), f"{what} {name}", timeout)
        return self.sinks[name]

    def flush(self, number, deadline_ms, timeout=20.0):
        self.tell(flush={"id": number, "deadlineMs": deadline_ms})
        return self.wait(lambda: self.flushed.get(number), f"end of flush {number}", timeout)

    def close(self):
        if self.listener:
            self.listener.shutdown(socket.SHUT_RDWR)
            self.listener.close()
            self.listener = None
        with self.changed:
            watch = self.watch
        if watch:
            watch.shutdown(socket.SHUT_RDWR)
        for thread in self.threads:
            thread.join(10)


def sequences(messages):
    """The proc_seq of messages; reports of losses have none."""
    return [message["logtail"]["proc_seq"] for message in messages if "proc_seq" in message["logtail"]]


def wait_delivered(collector, last, timeout=30.0):
    """Waits until the message with this proc_seq is accepted; returns all accepted messages."""
    def seen(current):
        accepted = current.accepted
        return any(last in sequences(request.messages) for request in reversed(accepted)) and current.messages
    return collector.wait(seen, timeout, f"message {last}")


__all__ = ["DaemonSide", "PUBLIC_ZERO", "Uploader", "sequences", "spool_fill", "wait_delivered", "wait_until"]
