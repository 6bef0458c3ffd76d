# SPDX-License-Identifier: BSD-3-Clause
"""Hostile servers: answers that never end, and answers that quote the secrets that they were sent."""
import base64
import html
import itertools
import json
import re
import socket
import threading
import urllib.parse
import zlib

import pytest

from collector import Answer, Collector
from lib.clickhouse import answer_question
from lib.daemon import sanitized
from lib.ledger import Numbered
from lib.process import peak_memory
from lib.uploader import DaemonSide, Uploader, sequences
from lib.wait import wait_until

MIB = 1 << 20


class Server:
    """Takes requests on loopback; calls answer(connection, request bytes) for each, then closes the connection."""

    def __init__(self, answer):
        self.answer = answer
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.url = f"http://127.0.0.1:{self.listener.getsockname()[1]}"
        self.lock = threading.Lock()
        self.connections = set()
        self.threads = [threading.Thread(target=self._accept, daemon=True)]
        self.threads[0].start()

    def _accept(self):
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            with self.lock:
                self.connections.add(connection)
            thread = threading.Thread(target=self._serve, args=(connection,), daemon=True)
            self.threads.append(thread)
            thread.start()

    def _serve(self, connection):
        try:
            request = connection.recv(1 << 16)
            while b"\r\n\r\n" not in request:
                request += connection.recv(1 << 16)
            head, body = request.split(b"\r\n\r\n", 1)
            length = int((re.search(rb"(?i)\r\ncontent-length: (\d+)", head) or [0, 0])[1])
            while len(body) < length:
                body += connection.recv(1 << 16)
            self.answer(connection, head)
            connection.shutdown(socket.SHUT_WR)
            while connection.recv(1 << 16):
                pass
        except OSError:
            pass
        finally:
            with self.lock:
                self.connections.discard(connection)
            connection.close()

    def close(self):
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        with self.lock:
            for connection in self.connections:
                connection.shutdown(socket.SHUT_RDWR)
        for thread in self.threads:
            thread.join(30)


def bomb():
    """256 MiB, compressed."""
    packer = zlib.compressobj(9, wbits=31)
    data = b"".join([packer.compress(bytes(MIB)) for _ in range(256)]) + packer.flush()
    return b"%x\r\n%s\r\n0\r\n\r\n" % (len(data), data)


LINES = b"".join(b"X-%d: %s\r\n" % (number, b"y" * 1000) for number in range(100))
CHUNKED = b"HTTP/1.1 503 No\r\nTransfer-Encoding: chunked\r\n\r\n"
TOO_LONG = "the answer's headers are longer than 64 KiB"
TIMEOUT = "Timeout was reached"
# What comes first, what is repeated, what the sink reports.
ENDLESS = {
    "trailers": (CHUNKED + b"2\r\nhi\r\n0\r\n", LINES, TOO_LONG),
    "trailers of a success": (CHUNKED.replace(b"503 No", b"200 OK") + b"0\r\n", LINES, TOO_LONG),
    "small trailers": (CHUNKED + b"0\r\n", b"a:\r\n" * 10000, TOO_LONG),
    "headers": (b"HTTP/1.1 200 OK\r\n", LINES, TOO_LONG),
    "interim answers": (b"", b"HTTP/1.1 102 Processing\r\nX: y\r\n\r\n" * 1000, TOO_LONG),
    "one line": (b"HTTP/1.1 200 OK\r\nX: ", b"y" * 100000, ""),
    "one trailer": (CHUNKED + b"0\r\nX: ", b"y" * 100000, ""),
    "a chunk's extension": (CHUNKED + b"2;", b"y" * 100000, TIMEOUT),
    "body": (b"HTTP/1.1 503 No\r\n\r\n", b"y" * 100000, "HTTP 503 Service Unavailable"),
    "chunks": (CHUNKED, b"1\r\ny\r\n" * 10000, "HTTP 503 Service Unavailable"),
    "a compressed body": (b"HTTP/1.1 503 No\r\nContent-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n\r\n" + bomb(), b"",
                          "HTTP 503 Service Unavailable"),
    "a compressed transfer": (b"HTTP/1.1 503 No\r\nTransfer-Encoding: gzip, chunked\r\n\r\n" + bomb(), b"", ""),
}


@pytest.mark.parametrize("kind", ENDLESS)
def test_answer_without_an_end(directory, kind):
    """It is cut off, costs a retry and no memory, and does not hold up other sinks."""
    begin, again, text = ENDLESS[kind]
    before = []
    hostile = threading.Event()
    hostile.set()

    def answer(connection, _request):
        if not hostile.is_set():
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
            return
        before.append(peak_memory(uploader.process.pid))
        connection.sendall(begin)
        # 8 GiB, or until the other side closes.
        for _ in range(8 * 1024 * MIB // len(again) if again else 0):
            connection.sendall(again)

    sink = {"type": "logtail", "collection": "x"}
    server = Server(answer)
    uploader = Uploader(directory, {"bad": {**sink, "url": server.url, "timeout": "3s"}})
    side = DaemonSide(directory / "upload.sock")
    try:
        with Collector() as good:
            uploader.configure({**uploader.sinks, "good": {**sink, "url": good.url}})
            uploader.fill(3)
            uploader.start()
            bad = side.wait_sink("bad", lambda s: s["state"] == "retrying", timeout=30)
            assert text in bad["lastError"] and len(bad["lastError"]) < 200
            uploader.fill(2)
            assert sequences(good.wait_messages(5)) == [1, 2, 3, 4, 5]
            if not sanitized():
                assert peak_memory(uploader.process.pid) - before[0] < 4
            hostile.clear()
            side.flush(1, 5000)
            bad = side.wait_sink("bad", lambda s: s["backlogMessages"] == 0)
            assert "lastError" not in bad
            uploader.stop()
    finally:
        uploader.close()
        side.close()
        server.close()


# --- secrets

PASSWORD = "Zq7vKw9&xPj4<mTb2sLdHr"
TOKEN = "Gn3RzUk8\"Wc5yEf1'VhQoXt6"
KEY = "Ja0pSg-MiDeN4uYbOl7CvWzF"
DOMAIN = "08" + "2b" * 30 + "41"


def percent(text):
    return "".join(f"%{ord(c):02x}" for c in text)


ENCODINGS = {
    "raw": str,
    "upper": str.upper,
    "lower": str.lower,
    "reversed": lambda text: text[::-1],
    "url": lambda text: urllib.parse.quote(text, safe=""),
    "percent": percent,
    "percent upper": lambda text: percent(text).upper(),
    "json": lambda text: "".join(f"\\u{ord(c):04x}" for c in text),
    "html": html.escape,
    "html number": lambda text: "".join(f"&#{ord(c)};" for c in text),
    "html hex": lambda text: "".join(f"&#x{ord(c):x};" for c in text),
    "hex": lambda text: text.encode().hex(),
    "hex upper": lambda text: text.encode().hex().upper(),
    "base64": lambda text: base64.b64encode(text.encode()).decode(),
    "base64 url": lambda text: base64.urlsafe_b64encode(text.encode()).decode().rstrip("="),
    "base64 moved": lambda text: base64.b64encode(b"x" + text.encode()).decode(),
    "decimal": lambda text: "".join(f"{ord(c):03d}" for c in text),
}
SHAPES = {
    "whole": lambda text: text,
    "beginning": lambda text: text[:8],
    "end": lambda text: text[-8:],
    "spaced": " ".join,
    "lines": lambda text: "\n".join(text[at:at + 5] for at in range(0, len(text), 5)),
}


def pieces(secrets):
    """Every six characters of the secrets, in each encoding."""
    found = set()
    for secret, encode in itertools.product(secrets, ENCODINGS.values()):
        text = encode(secret)
        found |= {text[at:at + 6] for at in range(len(text) - 5)}
    return found


def quotes(secrets):
    """Answers (the bytes of each) that quote secrets in the body, the headers, the trailers and the status line."""
    statuses = itertools.cycle([401, 404, 500, 503, 403, 429])
    for encode, shape in itertools.product(ENCODINGS.values(), SHAPES.values()):
        body = " ".join(shape(encode(secret)) for secret in secrets).encode()
        yield b"HTTP/1.1 %d No\r\nContent-Length: %d\r\n\r\n%s" % (next(statuses), len(body), body)
        yield (b"HTTP/1.1 %d No\r\nContent-Length: %d\r\n\r\n%s"
               % (next(statuses), len(body) + 30, b"Code: 60. DB::Exception: " + body + b"12345"))
    for secret in secrets:
        text = secret.encode()
        yield b"HTTP/1.1 404 %s\r\nContent-Length: 0\r\n\r\n" % text
        yield b"HTTP/1.1 %s\r\n\r\n" % text
        yield text + b"\r\n\r\n"
        yield b"HTTP/1.1 500 No\r\nContent-Length: %s\r\n\r\n" % text
        yield b"HTTP/1.1 500 No\r\nContent-Length: 0\r\n%s\r\n\r\n" % text
        yield b"HTTP/1.1 500 No\r\nTransfer-Encoding: %s\r\n\r\nx" % text
        yield b"HTTP/1.1 500 No\r\nTransfer-Encoding: chunked\r\n\r\n%s\r\n" % text
        yield (b"HTTP/1.1 301 No\r\nLocation: /%s\r\nRetry-After: %s\r\nServer: %s\r\nX-ClickHouse-Exception-Code: %s\r\n"
               b"X-ClickHouse-Summary: %s\r\nContent-Length: 0\r\n\r\n" % ((text,) * 5))
        yield (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nX-ClickHouse-Exception-Code: 60 %s\r\n\r\n0\r\nX: %s\r\n\r\n"
               % (text, text))


def secret_files(directory):
    for name, secret in ("password", PASSWORD), ("token", TOKEN), ("domain.logid", DOMAIN):
        path = directory / name
        path.write_text(secret + "\n")
        path.chmod(0o600)
    return {"password-file": directory / "password"}, {"bearer-token-file": directory / "token"}


def ask_all(daemon, turn, before, asked):
    """Until each sink has asked again: one that was busy with the last answer would wait a minute."""
    def all_asked():
        daemon.flush(100)
        with turn:
            return turn.wait_for(lambda: all(asked[name] > before[name] for name in asked), 1)
    wait_until(all_asked, "a request of each sink", 30)


def test_secrets_come_back_in_no_form(network, netlogd, directory):
    """Whatever a server that knows them answers: no part of them is in status, metrics, logs, messages or arguments."""
    password, token = secret_files(directory)
    sinks = {
        "log-id": {"type": "logtail", "collection": "x"},
        "bearer": {"type": "logtail", "collection": "x", **token},
        "basic": {"type": "logtail", "collection": "x", "user": "joe", **password},
        "header": {"type": "logtail", "collection": "x", "header": f"X-Key: {KEY}"},
        "ch-password": {"type": "clickhouse", "table": "t", "flush-interval": "0", "user": "joe", **password},
        "ch-header": {"type": "clickhouse", "table": "t", "flush-interval": "0", "header": f"X-Key: {KEY}"},
        "ch-path": {"type": "clickhouse", "table": "t", "flush-interval": "0"},
    }
    secrets = [PASSWORD, TOKEN, KEY, DOMAIN, f"joe:{PASSWORD}"]
    namespace = network.namespace()
    answers, asked = [b""], {name: 0 for name in sinks}
    turn = threading.Condition()

    def answer_to(name):
        def answer(connection, request):
            with turn:
                asked[name] += 1
                turn.notify_all()
                reply = answers[0]
            query = urllib.parse.parse_qs(urllib.parse.urlsplit(request.split(b" ")[1].decode()).query).get("query", [""])
            body = answer_question(query[0]) if name == "ch-password" else None
            if body is not None:
                reply = f"HTTP/1.1 200 OK\r\nContent-Length: {len(body)}\r\n\r\n{body}".encode()
            connection.sendall(reply)
        return answer

    provider = Numbered(directory / "vpn.sock")
    servers = {}
    try:
        with namespace.inside():
            servers.update((name, Server(answer_to(name))) for name in sinks)
        paths = {"ch-path": "/" + KEY}
        daemon = netlogd(namespace, {
            **provider.sections(), "node": {"domain-log-id-file": directory / "domain.logid"},
            **{f"upload {name}": {**keys, "url": servers[name].url + paths.get(name, "")} for name, keys in sinks.items()}})
        daemon.start()
        wait_until(lambda: all(asked.values()), "first requests")
        secrets.append((daemon.state / "upload" / "node.logid").read_text().strip())
        told = []
        for answers[0] in quotes(secrets):
            with turn:
                before = dict(asked)
            ask_all(daemon, turn, before, asked)
            daemon.flush(100)
            told += [sink.get("lastError", "") for sink in daemon.status()["sinks"]]
        everything = "\n".join([json.dumps(daemon.status()), daemon.ctl("status").stdout, daemon.ctl("metrics").stdout,
                                json.dumps(daemon.spool_messages()), *arguments(daemon)])
        log = daemon.log()
        daemon.stop()
    finally:
        provider.close()
        for server in servers.values():
            server.close()
    said = "\n".join({*told, log})
    assert [piece for piece in sorted(pieces(secrets)) if piece in said] == []
    for secret in secrets:
        assert secret not in everything
        # Six hex digits may be in a public ID by chance.
        assert not [at for at in range(len(secret) - 11) if secret[at:at + 12] in everything], secret
    assert {"HTTP 404 Not Found: Code: 60 (UNKNOWN_TABLE), SELECT FROM system.settings", "HTTP 503 Service Unavailable",
            "HTTP 401 Unauthorized"} <= set(told), set(told)
    assert any(text.startswith("HTTP 404 Not Found: Code: 60 (UNKNOWN_TABLE), INSERT INTO default.t") for text in told)


def arguments(daemon):
    for pid in daemon.process.pid, daemon.uploader():
        with open(f"/proc/{pid}/cmdline", encoding="utf-8") as line:
            yield line.read()


def test_words_of_a_server_without_secrets(directory):
    """Without a secret in the request they are shown: in one line, printable, and bounded."""
    with Collector(default=Answer(404, body="Code: 60. DB::Exception: Table\n\tdefault.t \x1b[31mdoesn't exist" + "x" * 500)) as server:
        uploader = Uploader(directory, {"ch": {"type": "clickhouse", "table": "t", "url": server.url, "user": "joe",
                                               "flush-interval": "0"}})
        side = DaemonSide(directory / "upload.sock")
        try:
            uploader.fill(1, entries=1)
            uploader.start()
            sink = side.wait_sink("ch", lambda s: s["state"] == "misconfigured")
            begin = "HTTP 404 Not Found: "
            words = "Code: 60. DB::Exception: Table default.t ?[31mdoesn't exist"
            assert sink["lastError"] == begin + words + "x" * (200 - len(words))
            uploader.stop()
        finally:
            uploader.close()
            side.close()
