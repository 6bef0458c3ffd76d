# SPDX-License-Identifier: BSD-3-Clause
"""A collector on loopback for tests: records every request and answers as scripted.

	with Collector() as collector:
	    collector.script(Answer(503), Answer(429, {"Retry-After": "1"}), Reset(), Hang())
	    ... run something that uploads to collector.url ...
	    collector.wait_messages(10)

Each request takes one answer from the script; when the script is empty, `collector.default` answers (a 200).
An answer may also be a function that takes the request and returns an answer; `default` too. Every wait has a
deadline and reports what had arrived by then.
"""

import gzip
import json
import socket
import struct
import threading
import time
from urllib.parse import parse_qs, urlsplit

import zstandard

DEADLINE = 30.0


class Answer:
    """A whole answer. body may be bytes or text; length=False leaves Content-Length out and closes."""

    def __init__(self, status=200, headers=None, body=b"", length=True, close=False, interim=False):
        self.status = status
        self.headers = dict(headers or {})
        self.body = body.encode() if isinstance(body, str) else body
        self.length = length
        self.close = close
        self.interim = interim

    def encode(self):
        lines = ["HTTP/1.1 102 Processing", ""] if self.interim else []
        lines.append(f"HTTP/1.1 {self.status} Scripted")
        lines += [f"{name}: {value}" for name, value in self.headers.items()]
        if self.length and self.status != 204:
            lines.append(f"Content-Length: {len(self.body)}")
        if self.close or not self.length:
            lines.append("Connection: close")
        return ("\r\n".join(lines) + "\r\n\r\n").encode() + self.body


class Reset:
    """Resets the connection after reading the request, or before (early)."""

    status = None

    def __init__(self, early=False):
        self.early = early


class Close(Reset):
    """Closes the connection cleanly, without an answer."""


class Hang:
    """No answer until the collector ends or release() is called; then the given one, or a close."""

    status = None

    def __init__(self, then=None):
        self.then = then
        self.released = threading.Event()

    def release(self):
        self.released.set()


class Garbage:
    """Bytes that are not HTTP."""

    status = None

    def __init__(self, data=b"\x00\xffnonsense\r\n\r\n"):
        self.data = data


class Trickle:
    """An answer sent byte by byte, `interval` seconds apart."""

    status = None

    def __init__(self, answer, interval=0.01):
        self.answer = answer
        self.interval = interval


class Request:
    def __init__(self, method, target, headers, raw, connection):
        self.method = method
        self.target = target
        self.headers = headers
        self.raw = raw
        self.connection = connection  # number of the connection it came on
        self.time = time.monotonic()
        self.status = None  # of the answer
        parts = urlsplit(target)
        self.path = parts.path
        self.query = {name: values[-1] for name, values in parse_qs(parts.query, keep_blank_values=True).items()}
        self._body = None
        self._messages = None

    @property
    def body(self):
        """The body, decompressed."""
        if self._body is None:
            encoding = self.headers.get("content-encoding", "")
            if encoding == "zstd":
                reader = zstandard.ZstdDecompressor().stream_reader(self.raw, read_across_frames=True)
                self._body = reader.read()
            elif encoding == "gzip":
                self._body = gzip.decompress(self.raw)
            else:
                self._body = self.raw
        return self._body

    @property
    def messages(self):
        """The messages of a logtail body, parsed; an empty list for anything else."""
        if self._messages is None:
            try:
                value = json.loads(self.body)
            except ValueError:
                value = []
            self._messages = value if isinstance(value, list) else []
        return self._messages

    @property
    def accepted(self):
        return self.status is not None and 200 <= self.status < 300

    def __repr__(self):
        return f"<{self.method} {self.path.split('/')[:3]} {len(self.raw)} bytes: {self.status}>"


class Collector:
    def __init__(self, port=0, host="127.0.0.1", default=None, keep=True):
        self.host = host
        self.port = port
        self.default = default or Answer(200)
        self.keep = keep  # False: only count, for benchmarks
        self.requests = []
        self.connections = 0
        self.raw_bytes = 0
        self.body_bytes = 0
        self.errors = []
        self._script = []
        self._changed = threading.Condition()
        self._stopping = threading.Event()
        self._sockets = set()
        self._threads = []
        self._listener = None

    # --- life cycle

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self.stop()

    def start(self):
        """Starts listening; after a stop, on the same port as before."""
        self._stopping.clear()
        family = socket.AF_INET6 if ":" in self.host else socket.AF_INET
        self._listener = socket.create_server((self.host, self.port), family=family, backlog=64)
        self.port = self._listener.getsockname()[1]
        thread = threading.Thread(target=self._accept, args=(self._listener,), daemon=True)
        thread.start()
        self._threads = [thread]
        return self

    def stop(self):
        """Refuses connections from now on. May be started again; keeps what it recorded."""
        self._stopping.set()
        if self._listener:
            try:
                self._listener.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
            self._listener.close()
            self._listener = None
        with self._changed:
            sockets = list(self._sockets)
            self._changed.notify_all()
        for connection in sockets:
            try:
                connection.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
        for thread in self._threads:
            thread.join(DEADLINE)
        self._threads = []

    @property
    def url(self):
        return f"http://{self.host}:{self.port}"

    # --- for the test

    def script(self, *answers):
        with self._changed:
            self._script += answers

    @property
    def script_left(self):
        with self._changed:
            return len(self._script)

    @property
    def accepted(self):
        with self._changed:
            return [request for request in self.requests if request.accepted]

    @property
    def messages(self):
        """The messages of all requests answered with 2xx, in order."""
        return [message for request in self.accepted for message in request.messages]

    def wait(self, predicate, timeout=DEADLINE, what="condition"):
        """Waits until predicate(self) is true; checks again after every request."""
        deadline = time.monotonic() + timeout
        while True:
            with self._changed:
                n = len(self.requests)
            value = predicate(self)
            if value:
                return value
            with self._changed:
                left = deadline - time.monotonic()
                if left <= 0:
                    raise TimeoutError(f"{what}: not within {timeout} s; requests: {self.requests[-20:]}")
                if len(self.requests) == n:
                    self._changed.wait(min(left, 0.25))

    def wait_requests(self, n, timeout=DEADLINE):
        return self.wait(lambda c: len(c.requests) >= n and c.requests[:], timeout, f"{n} requests")

    def wait_messages(self, n, timeout=DEADLINE):
        return self.wait(lambda c: len(c.messages) >= n and c.messages, timeout, f"{n} messages")

    # --- the server

    def _accept(self, listener):
        threads = []
        while not self._stopping.is_set():
            try:
                connection, _ = listener.accept()
            except OSError:
                break
            with self._changed:
                self._sockets.add(connection)
                self.connections += 1
                number = self.connections
            thread = threading.Thread(target=self._serve, args=(connection, number), daemon=True)
            thread.start()
            threads.append(thread)
        for thread in threads:
            thread.join(DEADLINE)

    def _serve(self, connection, number):
        try:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if self._next_is_early_reset():
                self._reset(connection)
                return
            stream = connection.makefile("rb", buffering=1 << 16)
            while not self._stopping.is_set():
                request = self._read_request(stream, connection, number)
                if request is None or not self._answer(connection, request):
                    break
        except (OSError, ValueError) as error:
            if not self._stopping.is_set():
                self.errors.append(error)
        finally:
            with self._changed:
                self._sockets.discard(connection)
            connection.close()

    def _next_is_early_reset(self):
        with self._changed:
            if self._script and isinstance(self._script[0], Reset) and self._script[0].early:
                self._script.pop(0)
                return True
        return False

    def _read_request(self, stream, connection, number):
        line = stream.readline(65536)
        if not line:
            return None
        method, target, _ = line.decode("latin-1").split(" ", 2)
        headers = {}
        while True:
            line = stream.readline(65536).decode("latin-1").rstrip("\r\n")
            if not line:
                break
            name, _, value = line.partition(":")
            headers[name.strip().lower()] = value.strip()
        if headers.get("expect", "").lower() == "100-continue":
            connection.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
        if headers.get("transfer-encoding", "").lower() == "chunked":
            raw = self._read_chunked(stream)
        else:
            length = int(headers.get("content-length", "0"))
            raw = stream.read(length)
            if len(raw) != length:
                return None
        return Request(method, target, headers, raw, number)

    @staticmethod
    def _read_chunked(stream):
        raw = b""
        while True:
            size = int(stream.readline(1024).split(b";")[0], 16)
            raw += stream.read(size)
            stream.readline(16)
            if size == 0:
                return raw

    def _answer(self, connection, request):
        """Answers; returns whether the connection stays open."""
        with self._changed:
            answer = self._script.pop(0) if self._script else self.default
        if callable(answer):
            answer = answer(request)
        held = answer
        if isinstance(answer, Hang):
            self._record(request)
            while not self._stopping.is_set() and not answer.released.wait(0.1):
                pass
            if answer.then is None or self._stopping.is_set():
                return False
            answer = answer.then
        elif isinstance(answer, Trickle):
            answer = answer.answer
        if isinstance(answer, (Reset, Garbage)):
            if held is answer:
                self._record(request)
            return self._misbehave(connection, answer)
        # Record before sending, so that a client never knows of an answer that is not recorded yet.
        request.status = answer.status
        if not isinstance(held, Hang):
            self._record(request)
        else:
            with self._changed:
                self._changed.notify_all()
        self._send(connection, held, answer)
        return not answer.close and answer.length

    def _send(self, connection, held, answer):
        if not isinstance(held, Trickle):
            connection.sendall(answer.encode())
            return
        for byte in answer.encode():
            connection.sendall(bytes([byte]))
            if self._stopping.wait(held.interval):
                return

    def _misbehave(self, connection, answer):
        if isinstance(answer, Garbage):
            connection.sendall(answer.data)
        elif not isinstance(answer, Close):
            self._reset(connection)
        return False

    @staticmethod
    def _reset(connection):
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        connection.close()

    def _record(self, request):
        with self._changed:
            self.raw_bytes += len(request.raw)
            if not self.keep:
                self.body_bytes += int(request.headers.get("orig-content-length", len(request.raw)))
                request.raw = b""
            self.requests.append(request)
            self._changed.notify_all()
