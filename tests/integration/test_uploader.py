# SPDX-License-Identifier: BSD-3-Clause
"""The uploader as a program: flushes, log IDs, reloads, secrets, the metrics port, and its end."""
import hashlib
import http.client
import json
import os
import socket
import stat
import time
from base64 import b64encode

import pytest

from collector import Answer, Collector
from lib.upload_fixtures import collector, logtail, make_uploader, side  # noqa: F401
from lib.uploader import DaemonSide, sequences, wait_delivered, wait_until


def test_flush_interval_and_flush(collector, make_uploader, side):
    """Messages wait for the interval, unless there is a flush."""
    uploader = make_uploader({"main": logtail(collector, flush_interval="1h")})
    watch = side(uploader)
    uploader.fill(3)
    uploader.start()
    watch.wait_sink("main", lambda s: s["backlogMessages"] == 3)
    uploader.fill(2)
    watch.wait_sink("main", lambda s: s["backlogMessages"] == 5)
    assert collector.requests == []
    assert watch.flush(7, 5000) == {"id": 7, "pendingMessages": 0, "pendingBytes": 0}
    assert sequences(collector.messages) == [1, 2, 3, 4, 5]
    assert len(collector.requests) == 1
    uploader.stop()


def test_flush_delivers_many_batches(collector, make_uploader, side):
    uploader = make_uploader({"main": logtail(collector, flush_interval="1h", max_batch_size="4K")})
    watch = side(uploader)
    uploader.start()
    uploader.fill(100, size=1000)
    assert watch.flush(1, 10000)["pendingMessages"] == 0
    assert sequences(collector.messages) == list(range(1, 101))
    uploader.stop()


def test_flush_retries_at_once_and_answers_with_what_remains(collector, make_uploader, side):
    """Whatever the backoff; then it waits no longer than the deadline."""
    collector.default = Answer(503, {"Retry-After": "200"})
    uploader = make_uploader({"main": logtail(collector)})
    watch = side(uploader)
    uploader.fill(4)
    uploader.start()
    watch.wait_sink("main", lambda s: s["state"] == "retrying")
    begin = time.monotonic()
    flushed = watch.flush(1, 3000)
    assert time.monotonic() - begin < 2.5, "nothing will happen before the deadline: no use in waiting"
    assert flushed["pendingMessages"] == 4
    assert len(collector.requests) == 2
    collector.default = Answer(200)
    assert watch.flush(2, 5000)["pendingMessages"] == 0
    uploader.stop()


def test_flush_without_sinks(make_uploader, side):
    uploader = make_uploader({})
    watch = side(uploader)
    uploader.fill(3)
    uploader.start()
    assert watch.flush(1, 5000) == {"id": 1, "pendingMessages": 0, "pendingBytes": 0}
    uploader.stop()


def test_identify(make_uploader, side):
    """The daemon learns the public IDs, never a private one."""
    uploader = make_uploader({})
    watch = side(uploader)
    uploader.start()
    identity = watch.wait(lambda: watch.identity, "Identify")
    uploader.stop()
    assert identity == {"publicId": hashlib.sha256(bytes.fromhex(uploader.private_id())).hexdigest()}


def test_given_log_ids(collector, make_uploader, side):
    """Messages logged under an ID from Start go to that log, and no batch mixes two, even after a restart."""
    private = "10" + "22" * 30 + "42"
    domain = "18" + "33" * 30 + "43"
    public = hashlib.sha256(bytes.fromhex(private)).hexdigest()
    uploader = make_uploader({"main": logtail(collector)})
    watch = side(uploader)
    uploader.start()
    watch.tell(logId={"nodeLogId": private, "domainLogId": domain})
    wait_until(lambda: (uploader.upload / "ids" / public).exists(), "kept ID")
    assert stat.S_IMODE((uploader.upload / "ids" / public).stat().st_mode) == 0o600
    uploader.stop()
    uploader.fill(2)
    uploader.fill(3, public=public)
    uploader.fill(1)
    uploader.start()
    wait_delivered(collector, 6)
    uploader.stop()
    by_path = [(request.path, request.query.get("copyId"), sequences(request.messages))
               for request in collector.requests]
    assert by_path == [
        (f"/c/flows.test/{uploader.private_id()}", None, [1, 2]),
        (f"/c/flows.test/{private}", domain, [3, 4, 5]),
        (f"/c/flows.test/{uploader.private_id()}", None, [6]),
    ]


def test_unknown_log_id(collector, make_uploader, side):
    """Without the private ID the messages wait, and status says why."""
    public = "ab" * 32
    uploader = make_uploader({"main": logtail(collector)})
    watch = side(uploader)
    uploader.fill(1, public=public)
    uploader.start()
    sink = watch.wait_sink("main", lambda s: s["state"] == "misconfigured")
    assert public in sink["lastError"]
    uploader.stop()
    assert collector.requests == []


def test_reload_adds_and_removes_sinks(collector, make_uploader, side):
    """A new sink starts with the oldest message; a removed one is forgotten, and is new when it comes back."""
    with Collector() as other:
        uploader = make_uploader({"one": logtail(collector)})
        watch = side(uploader)
        uploader.fill(3)
        uploader.start()
        collector.wait_messages(3)
        uploader.configure({"one": logtail(collector), "two": logtail(other)})
        watch.tell(reload=True)
        assert sequences(other.wait_messages(3)) == [1, 2, 3]
        uploader.configure({"one": logtail(collector)})
        uploader.reload()
        wait_until(lambda: not (uploader.upload / "two").exists(), "removal")
        watch.wait(lambda: set(watch.sinks) == {"one"}, "report without it")
        uploader.fill(1)
        wait_delivered(collector, 4)
        uploader.configure({"one": logtail(collector), "two": logtail(other)})
        uploader.reload()
        assert sequences(wait_delivered(other, 4)) == [1, 2, 3, 1, 2, 3, 4]
        uploader.stop()
    assert sequences(collector.messages) == [1, 2, 3, 4]


def test_reload_with_an_error_changes_nothing(collector, make_uploader):
    uploader = make_uploader({"main": logtail(collector)})
    uploader.fill(1)
    uploader.start()
    collector.wait_messages(1)
    good = uploader.config.read_text()
    uploader.config.write_text(good + "nonsense=1\n")
    uploader.reload()
    wait_until(lambda: "nonsense" in uploader.log(), "a line about it")
    uploader.fill(1)
    assert sequences(collector.wait_messages(2)) == [1, 2]
    uploader.stop()


@pytest.mark.parametrize("content", ["", "[spool]\ndirectory=/var/lib/other\n"], ids=["empty", "spool"])
def test_reload_of_a_file_with_other_directories(collector, make_uploader, content):
    """A file that is being written while the uploader reads it, for example: the sinks keep their state, since without it
    everything would be delivered again."""
    uploader = make_uploader({"main": logtail(collector)})
    uploader.fill(2)
    uploader.start()
    wait_delivered(collector, 2)
    good = uploader.config.read_text()
    uploader.config.write_text(content)
    uploader.reload()
    wait_until(lambda: "only with a restart" in uploader.log(), "a line about it")
    uploader.config.write_text(good)
    uploader.reload()
    uploader.fill(1)
    wait_delivered(collector, 3)
    uploader.stop()
    assert sequences(collector.messages) == [1, 2, 3]


def test_rate_limit(collector, make_uploader):
    """40 KB that compress to no less than half, at 20 KB/s: not within the first second."""
    uploader = make_uploader({"main": logtail(collector, rate_limit="20K", max_batch_size="4K", compression="none")})
    uploader.fill(40, size=1000)
    uploader.start()
    wait_delivered(collector, 40)
    uploader.stop()
    assert 1.5 <= collector.requests[-1].time - collector.requests[0].time <= 8


@pytest.mark.parametrize("keys,header,value", [
    ({"bearer-token-file": "SECRET"}, "authorization", "Bearer s3cret-token"),
    ({"user": "joe", "password-file": "SECRET"}, "authorization", "Basic am9lOnMzY3JldC10b2tlbg=="),
    ({"header": "X-Scope: flows"}, "x-scope", "flows"),
])
def test_credentials(collector, make_uploader, directory, keys, header, value):
    secret = directory / "secret"
    secret.write_text("s3cret-token\n")
    secret.chmod(0o600)
    keys = {key: str(secret) if text == "SECRET" else text for key, text in keys.items()}
    uploader = make_uploader({"main": {**logtail(collector), **keys}})
    uploader.fill(1)
    uploader.start()
    collector.wait_messages(1)
    uploader.stop()
    assert collector.requests[0].headers[header] == value


def test_readable_secret_is_refused(collector, make_uploader, side, directory):
    """A token that others may read is not used, and status says why."""
    secret = directory / "secret"
    secret.write_text("s3cret-token\n")
    secret.chmod(0o644)
    uploader = make_uploader({"main": {**logtail(collector), "bearer-token-file": str(secret)}})
    watch = side(uploader)
    uploader.fill(1)
    uploader.start()
    sink = watch.wait_sink("main", lambda s: s["state"] == "misconfigured")
    assert "0600" in sink["lastError"]
    assert collector.requests == []
    secret.chmod(0o600)
    uploader.reload()
    collector.wait_messages(1)
    uploader.stop()


def test_credentials_of_the_service_manager(collector, make_uploader, directory):
    """systemd's are mode 0440, which stands for an access control list: taken, whatever path leads to them."""
    given = directory / "credentials"
    given.mkdir(mode=0o700)
    directory.chmod(0o755)
    private = "10" + "22" * 30 + "42"
    for name, text in ("token", "s3cret-token"), ("node", private):
        (given / name).write_text(text + "\n")
        (given / name).chmod(0o440)
    (directory / "token").symlink_to(given / "token")
    uploader = make_uploader({"main": {**logtail(collector), "bearer-token-file": str(directory / "token")}},
                             {"node": {"log-id-file": given / "node"}})
    uploader.fill(1)
    uploader.start(env={"CREDENTIALS_DIRECTORY": str(given)})
    collector.wait_messages(1)
    uploader.stop()
    assert collector.requests[0].headers["authorization"] == "Bearer s3cret-token"
    assert collector.requests[0].path.endswith(private)


def test_secrets_appear_nowhere(collector, make_uploader, side, directory):
    """Not in logs, status or the process's arguments, even if a server's answer quotes URL and headers."""
    secret = directory / "secret"
    secret.write_text("s3cret-token\n")
    secret.chmod(0o600)
    collector.default = lambda request: Answer(404, body=" ".join(
        f"not {request.headers.get(name)}" for name in ("authorization", "x-key") if name in request.headers)
        + f" no such page: {request.target}")
    uploader = make_uploader({
        "main": {**logtail(collector), "bearer-token-file": str(secret), "header": "X-Key: s3cret-token-too"},
        "basic": {**logtail(collector), "user": "u", "password-file": str(secret)}})
    watch = side(uploader)
    uploader.fill(1)
    uploader.start()
    sink = watch.wait_sink("main", lambda s: s["state"] == "misconfigured")
    watch.wait_sink("basic", lambda s: s["state"] == "misconfigured")
    private = uploader.private_id()
    assert private in collector.requests[0].target
    assert sink["lastError"] == "HTTP 404 Not Found"
    arguments = open(f"/proc/{uploader.process.pid}/cmdline", "rb").read().decode()
    environment = [entry for reports in watch.reports for entry in json.dumps(reports).splitlines()]
    uploader.stop()
    for text in (uploader.log(), json.dumps(sink), arguments, "".join(environment)):
        assert private not in text and private[:32] not in text
        assert "s3cret" not in text
        assert b64encode(b"u:s3cret-token").decode() not in text


def test_sigterm_is_not_held_up(make_uploader):
    """Neither by a name that does not resolve nor by a connection that is not established."""
    # 192.0.2.0/24 is for documentation: in a namespace without it, connecting fails or hangs, never succeeds.
    uploader = make_uploader({
        "name": {"type": "logtail", "url": "https://collector.invalid", "collection": "x"},
        "address": {"type": "logtail", "url": "https://192.0.2.1", "collection": "x"},
    })
    uploader.fill(1)
    uploader.start()
    wait_until(lambda: (uploader.upload / "address" / "cursor").exists(), "start")
    begin = time.monotonic()
    uploader.stop()
    assert time.monotonic() - begin < 2


def test_child_ends_with_its_daemon(collector, make_uploader):
    """Started with a descriptor, it identifies itself there, waits for the run's log IDs, which come before the first
    wake-up, and exits when the other end closes."""
    ours, theirs = socket.socketpair()
    uploader = make_uploader({"main": logtail(collector)})
    uploader.fill(2)
    uploader.start(["--fd", str(theirs.fileno())], pass_fds=[theirs.fileno()])
    theirs.close()
    side = DaemonSide(connection=ours)
    side.wait(lambda: side.identity, "Identify")
    assert collector.requests == []
    domain = "18" + "33" * 30 + "43"
    side.tell(logId={"domainLogId": domain})
    side.tell(wake=2)
    side.wait_sink("main", lambda s: s["sentMessages"] == 2)
    side.close()
    assert uploader.process.wait(10) == 0
    assert [request.query for request in collector.requests] == [{"copyId": domain}]


def test_daemon_restarts(collector, make_uploader, side):
    """Without the daemon the uploader carries on, and reconnects."""
    uploader = make_uploader({"main": logtail(collector)})
    first = side(uploader)
    uploader.start()
    first.wait(lambda: first.identity, "Identify")
    first.close()
    os.unlink(uploader.directory / "upload.sock")
    uploader.fill(2)
    collector.wait_messages(2)
    second = side(uploader)
    second.wait(lambda: second.identity, "Identify")
    second.wait_sink("main", lambda s: s["deliveredSequence"] == 2)
    uploader.stop()


def test_metrics_port(make_uploader, side):
    """Serves the daemon's text; nothing before there is one."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    uploader = make_uploader({}, {"netlogd": {}})
    uploader.sections["netlogd"] = {"state-directory": uploader.state,
                                    "control-socket": uploader.directory / "control.sock",
                                    "metrics-listen": f"127.0.0.1:{port}"}
    uploader.configure({})
    watch = side(uploader)
    uploader.start()
    watch.wait(lambda: watch.identity, "Identify")

    def get(path, method="GET"):
        with socket.create_connection(("127.0.0.1", port), 5) as connection:
            connection.sendall(f"{method} {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
            data = b""
            while piece := connection.recv(65536):
                data += piece
        return data

    assert get("/metrics").startswith(b"HTTP/1.1 503 ")
    watch.tell(metrics="netlogd_up 1\n")
    answer = wait_until(lambda: (found := get("/metrics")).startswith(b"HTTP/1.1 200 ") and found, "metrics")
    head, body = answer.split(b"\r\n\r\n", 1)
    assert body.startswith(b"netlogd_up 1\n# HELP netlogd_metrics_dropped_total ")
    assert b"\nnetlogd_metrics_dropped_total 0\n" in body and body.endswith(b"\nnetlogd_metrics_accept_errors_total 0\n")
    assert f"Content-Length: {len(body)}\r\n".encode() in head
    assert get("/metrics", "HEAD").endswith(b"\r\n\r\n")
    assert get("/metrics", "POST").startswith(b"HTTP/1.1 405 ")
    assert b"Content-Type: text/plain; version=0.0.4" in answer
    assert get("/").startswith(b"HTTP/1.1 404 ")
    # The answer is all that comes, also where the head is too long to be read; the next request is fine.
    client = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    for headers, status in ({}, 200), ({"X-Long": "x" * 9000}, 431):
        client.request("HEAD", "/metrics", headers=headers)
        head = client.getresponse()
        assert (head.status, head.read()) == (status, b"")
        client.request("GET", "/metrics")
        assert client.getresponse().read().startswith(b"netlogd_up 1\n")
    # A body of any size that is sent before the answer is read.
    for size in 10, 10_000, 1_000_000, 10_000_000:
        for method in "POST", "PUT":
            client.request(method, "/metrics", body=b"x" * size)
            refused = client.getresponse()
            assert (refused.status, refused.headers["Allow"]) == (405, "GET, HEAD"), size
            refused.read()
    client.close()
    uploader.stop()


def test_bad_configuration(make_uploader):
    uploader = make_uploader({"main": {"type": "logtail"}})
    uploader.start()
    assert uploader.process.wait(10) == 78
    assert f"{uploader.config}:" in uploader.log()
