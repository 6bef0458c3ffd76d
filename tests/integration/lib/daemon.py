# SPDX-License-Identifier: BSD-3-Clause
"""The daemon under test, with all its files in a temporary directory."""
import json
import os
import re
import signal
import socket
import threading
import time

from . import bpf
from .process import children, process_name, run
from .varlink import Varlink
from .wait import wait_readable

SANITIZER = re.compile(r"AddressSanitizer|LeakSanitizer|runtime error:|UndefinedBehaviorSanitizer")


def build_directory():
    return os.environ.get("NETLOGD_BUILD") or os.path.join(os.path.dirname(__file__), "../../../build")


def has_kill_points():
    """Whether the programs under test can be killed at named points (-Dkill-points=true)."""
    with open(os.path.join(build_directory(), "build-config.h"), encoding="ascii") as config:
        return "NETLOGD_KILL_POINTS 1" in config.read()


def program(name):
    places = {"netlogd": "daemon/netlogd", "netlogd-upload": "daemon/upload/netlogd-upload",
              "netlogctl": "control/netlogctl"}
    return os.path.realpath(os.path.join(build_directory(), places[name]))


def sanitized():
    """Whether the programs are built with sanitizers, which use memory of their own."""
    options = json.loads(run(["meson", "introspect", "--buildoptions", build_directory()]).stdout)
    return next(option["value"] for option in options if option["name"] == "b_sanitize") != "none"


class NotifySocket:
    """Receives a daemon's sd_notify() messages. Reads them at once, as a service manager does: the queue is short."""

    def __init__(self, path):
        self.path = str(path)
        self.states = []
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
        self.socket.bind(self.path)
        self.changed = threading.Condition()
        self.thread = threading.Thread(target=self._read, daemon=True)
        self.thread.start()

    def _read(self):
        while True:
            states = self.socket.recv(65536).decode().splitlines()
            with self.changed:
                if not states:
                    return
                self.states += states
                self.changed.notify_all()

    def read(self):
        with self.changed:
            return list(self.states)

    def wait(self, predicate, what, timeout=20.0):
        """Waits until predicate(states) is true; checks again after every notification."""
        with self.changed:
            # Some conditions come true without a notification: a process may have ended.
            end = time.monotonic() + timeout
            while not predicate(self.states):
                left = end - time.monotonic()
                if left <= 0:
                    raise TimeoutError(f"{what}: not within {timeout} s; notified: {self.states}")
                self.changed.wait(min(left, 0.1))

    def close(self):
        if self.thread.is_alive():
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as end:
                end.sendto(b"", self.path)
            self.thread.join()
        self.socket.close()


class Netlogd:
    """One daemon on one state directory. Made by the fixture `netlogd`; start() may be called again after stop().

    sections is {"tun": {"interface": "wg0"}, "upload main": {...}}. All else is the default, except the paths
    and a short period.
    """

    def __init__(self, network, namespace, directory, sections, arguments=()):
        self.network = network
        self.namespace = namespace
        self.directory = directory
        self.arguments = list(arguments)
        self.control_socket = directory / "control.sock"
        self.state = directory / "state"
        self.config = directory / "netlogd.conf"
        self.sections = {
            "netlogd": {"state-directory": self.state, "control-socket": self.control_socket, "control-group": "root"},
            "record": {"period": "100ms"},
        }
        self.configure(sections)
        self.process = None
        self.notify = None
        self.runs = 0

    def configure(self, sections):
        """Changes the configuration and writes it; None removes a key or a whole section."""
        for section, keys in sections.items():
            if keys is None:
                self.sections.pop(section, None)
                continue
            current = self.sections.setdefault(section, {})
            for key, value in keys.items():
                if value is None:
                    current.pop(key, None)
                else:
                    current[key] = value
        lines = []
        for section, keys in self.sections.items():
            lines.append(f"[{section}]")
            lines += [f"{key}={value}" for key, value in keys.items()]
        self.config.write_text("\n".join(lines) + "\n", encoding="utf-8")

    def launch(self, env=None):
        """Starts the process and waits for nothing."""
        self.runs += 1
        notify = self.directory / f"notify-{self.runs}"
        self.notify = NotifySocket(notify)
        self.process = self.namespace.start(
            program("netlogd"), "--config", self.config, *self.arguments,
            name=f"netlogd-{self.directory.name}", env={"NOTIFY_SOCKET": str(notify), **(env or {})})
        return self

    def start(self, env=None, timeout=20.0):
        """Starts it and waits until it is ready."""
        self.launch(env)
        self.notify.wait(lambda states: "READY=1" in states or not self.process.running, "READY=1", timeout)
        assert self.process.running, f"ended with {self.process.wait()}: {self.log()}"
        return self

    def log(self):
        return self.process.text() if self.process else ""

    def client(self, **options):
        return Varlink(self.control_socket, **options)

    def call(self, method, timeout=None, **parameters):
        with self.client() as client:
            return client.call(method, timeout, **parameters)

    def status(self):
        return self.call("Status")["status"]

    def routes(self, name=None):
        """The routes as GetRoutes lists them, or those of one list, without its name."""
        with self.client() as client:
            entries = [entry for part in client.stream("GetRoutes") for entry in part["routes"]]
        if name is None:
            return entries
        return [{key: value for key, value in entry.items() if key != "list"} for entry in entries
                if entry["list"] == name]

    def ctl(self, *arguments, check=True, **options):
        """netlogctl with this daemon's socket."""
        return run([program("netlogctl"), "--socket", self.control_socket, *arguments], check=check, **options)

    def flush(self, deadline_ms=10000):
        return self.call("Flush", deadlineMs=deadline_ms)

    def uploader(self):
        """The pid of its uploader, or None."""
        for pid in children(self.process.pid):
            if process_name(pid) == "netlogd-upload":
                return pid
        return None

    def reload(self):
        """Sends SIGHUP and waits until the daemon is ready again."""
        seen = self.notify.read().count("READY=1")
        self.process.signal(signal.SIGHUP)
        self.notify.wait(lambda states: states.count("READY=1") > seen, "READY=1 after SIGHUP")

    def check_log(self):
        match = SANITIZER.search(self.log())
        assert not match, self.log()

    def stop(self, timeout=20.0):
        """Sends SIGTERM; it must shut down cleanly and leave nothing on the interface."""
        status = self.process.terminate(timeout)
        self.notify.close()
        self.check_log()
        assert status == 0, f"exit status {status}: {self.log()}"
        assert not self.control_socket.exists(), "the control socket is still there"
        interface = self.sections.get("tun", {}).get("interface")
        if interface and self.namespace.interface_exists(interface):
            left = bpf.attached(self.namespace, interface)
            assert left == [], f"left on {interface}: {left}"

    def kill(self):
        """Sends SIGKILL; its uploader must exit by itself."""
        uploader = self.uploader()
        pidfd = os.pidfd_open(uploader) if uploader else -1
        self.process.kill()
        self.notify.close()
        if pidfd >= 0:
            try:
                wait_readable(pidfd, "end of the uploader after its daemon")
            finally:
                os.close(pidfd)

    def spool_messages(self):
        """All messages in the local spool, oldest first, whether or not the daemon runs."""
        output = run([program("netlogctl"), "--json", "flows", "--spool", self.state / "spool"]).stdout
        return [json.loads(line) for line in output.splitlines()]


class Tailer:
    """Collects what Tail sends. Calls Tail when it is created, so that it misses nothing from then on."""

    def __init__(self, netlogd):
        self.client = netlogd.client()
        self.client.send("Tail", more=True)
        self.messages = []

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.client.close()

    def next(self, timeout=20.0):
        message = self.client.reply(timeout)["message"]
        self.messages.append(message)
        return message

    def until(self, predicate, what, timeout=20.0):
        """Reads messages until predicate(messages) is true; returns all of them."""
        deadline = time.monotonic() + timeout
        while not predicate(self.messages):
            left = deadline - time.monotonic()
            if left <= 0:
                raise TimeoutError(f"{what}: not within {timeout} s; messages: {self.messages[-5:]}")
            try:
                self.next(left)
            except TimeoutError:
                continue
        return self.messages
