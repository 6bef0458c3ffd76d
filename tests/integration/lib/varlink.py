# SPDX-License-Identifier: BSD-3-Clause
"""A small Varlink client (https://varlink.org/Wire-Protocol), independent of the one under test."""
import json
import select
import socket
import time


class VarlinkError(Exception):
    def __init__(self, name, parameters):
        super().__init__(f"{name} {json.dumps(parameters)}")
        self.name = name
        self.parameters = parameters


class Varlink:
    """One connection. Every call has a deadline."""

    def __init__(self, path, timeout=20.0, interface="org.netlogd.control"):
        self.path = str(path)
        self.timeout = timeout
        self.interface = interface
        self.pending = b""
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
        self.socket.settimeout(timeout)
        self._connect(time.monotonic() + timeout)

    def _connect(self, deadline):
        """Waits while the queue of connections is full: a socket with a time-out is told so instead."""
        while True:
            try:
                return self.socket.connect(self.path)
            except BlockingIOError:
                if time.monotonic() >= deadline:
                    raise
                time.sleep(0.01)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.socket.close()

    def send_raw(self, data):
        self.socket.sendall(data)

    def send(self, method, parameters=None, **flags):
        if "." not in method:
            method = f"{self.interface}.{method}"
        message = {"method": method, **flags}
        if parameters:
            message["parameters"] = parameters
        self.send_raw(json.dumps(message).encode() + b"\0")

    def receive(self, timeout=None):
        """Returns the next reply as received. Raises ConnectionError if the other side closed, or TimeoutError."""
        deadline = time.monotonic() + (self.timeout if timeout is None else timeout)
        while b"\0" not in self.pending:
            left = deadline - time.monotonic()
            if left <= 0 or not select.select([self.socket], [], [], left)[0]:
                raise TimeoutError("no reply in time")
            data = self.socket.recv(1 << 16)
            if not data:
                raise ConnectionError("closed by the other side")
            self.pending += data
        message, _, self.pending = self.pending.partition(b"\0")
        return json.loads(message)

    def reply(self, timeout=None):
        message = self.receive(timeout)
        if "error" in message:
            raise VarlinkError(message["error"], message.get("parameters", {}))
        return message.get("parameters", {})

    def call(self, method, timeout=None, **parameters):
        self.send(method, parameters)
        return self.reply(timeout)

    def stream(self, method, **parameters):
        """Yields replies up to the last one."""
        self.send(method, parameters, more=True)
        while True:
            message = self.receive()
            if "error" in message:
                raise VarlinkError(message["error"], message.get("parameters", {}))
            yield message.get("parameters", {})
            if not message.get("continues"):
                return
