# SPDX-License-Identifier: BSD-3-Clause
"""The uploader and the logtail protocol: what is sent, and what each answer leads to."""
import re
import stat
import time
from email.utils import formatdate

import pytest

from collector import Answer, Close, Garbage, Hang, Reset, Trickle
from lib.upload_fixtures import collector, logtail, make_uploader, side  # noqa: F401
from lib.uploader import sequences, wait_delivered, wait_until


def test_request(collector, make_uploader):
    """The first messages arrive as the protocol says, and a private ID was created."""
    uploader = make_uploader({"main": logtail(collector)})
    uploader.fill(3, size=400)
    uploader.start()
    messages = collector.wait_messages(3)
    uploader.stop()
    assert sequences(messages) == [1, 2, 3]
    request = collector.requests[0]
    private = uploader.private_id()
    assert re.fullmatch(r"[0-9a-f]{64}", private)
    assert (request.method, request.target) == ("POST", f"/c/flows.test/{private}")
    assert request.headers["content-type"] == "application/json"
    assert request.headers["user-agent"].startswith("netlogd/")
    assert request.headers["content-encoding"] == "zstd"
    assert int(request.headers["orig-content-length"]) == len(request.body)
    assert len(request.raw) + 64 < len(request.body)
    assert request.body.startswith(b'[{"logtail"') and request.body.endswith(b"}]")
    mode = (uploader.upload / "node.logid").stat().st_mode
    assert stat.S_IMODE(mode) == 0o600
    assert stat.S_IMODE(uploader.upload.stat().st_mode) == 0o700


def test_small_body_is_not_compressed(collector, make_uploader):
    """Up to 256 bytes are sent as they are."""
    uploader = make_uploader({"main": logtail(collector)})
    uploader.fill(1, size=100)
    uploader.start()
    collector.wait_messages(1)
    uploader.stop()
    request = collector.requests[0]
    assert len(request.raw) <= 256
    assert "content-encoding" not in request.headers
    assert "orig-content-length" not in request.headers


def test_compression_none(collector, make_uploader):
    uploader = make_uploader({"main": logtail(collector, compression="none")})
    uploader.fill(3, size=4000)
    uploader.start()
    collector.wait_messages(3)
    uploader.stop()
    assert "content-encoding" not in collector.requests[0].headers


def test_copy_id(collector, make_uploader):
    """A domain log ID is sent as copyId."""
    domain = "08" + "11" * 30 + "41"
    uploader = make_uploader({"main": logtail(collector)},
                             {"node": {"domain-log-id-file": "%s"}})
    path = uploader.directory / "domain.logid"
    path.write_text(domain + "\n")
    path.chmod(0o600)
    uploader.sections["node"]["domain-log-id-file"] = path
    uploader.configure(uploader.sinks)
    uploader.fill(1)
    uploader.start()
    collector.wait_messages(1)
    uploader.stop()
    assert collector.requests[0].query == {"copyId": domain}


def test_batch_size(collector, make_uploader):
    """Only a single message may exceed max-batch-size."""
    uploader = make_uploader({"main": logtail(collector, max_batch_size="4K")})
    uploader.fill(40, size=1000)
    uploader.fill(1, size=9000)
    uploader.fill(1, size=1000)
    uploader.start()
    messages = wait_delivered(collector, 42)
    uploader.stop()
    assert sequences(messages) == list(range(1, 43))
    sizes = [(len(request.messages), len(request.body)) for request in collector.requests]
    assert all(size <= 4096 or n == 1 for n, size in sizes)
    assert sizes[0][0] == 4, "as many as fit"


def test_messages_that_come_later(collector, make_uploader):
    """The spool is watched: new messages need no restart, even if the spool is created after the uploader's start."""
    uploader = make_uploader({"main": logtail(collector)})
    uploader.start()
    uploader.fill(2)
    collector.wait_messages(2)
    uploader.fill(3)
    assert sequences(collector.wait_messages(5)) == [1, 2, 3, 4, 5]
    uploader.stop()


def test_cursor_is_kept(collector, make_uploader, side):
    """After a restart nothing is sent twice."""
    uploader = make_uploader({"main": logtail(collector)})
    watch = side(uploader)
    uploader.fill(5)
    uploader.start()
    watch.wait_sink("main", lambda s: s["deliveredSequence"] == 5)
    uploader.stop()
    uploader.fill(1)
    uploader.start()
    assert sequences(collector.wait_messages(6)) == [1, 2, 3, 4, 5, 6]
    uploader.stop()


def test_spool_that_is_made_later(collector, make_uploader, directory):
    """By a daemon that starts second. The configuration lies elsewhere, as in /etc."""
    uploader = make_uploader({"main": logtail(collector)})
    (directory / "etc").mkdir()
    uploader.config = directory / "etc" / "netlogd.conf"
    uploader.configure(uploader.sinks)
    uploader.start()
    wait_until(lambda: (uploader.upload / "main" / "cursor").exists(), "start")
    uploader.fill(1)
    collector.wait_messages(1)
    uploader.stop()


@pytest.mark.parametrize("trouble", [
    Answer(408), Answer(425), Answer(500), Answer(502), Answer(503, body="busy"), Answer(599),
    Reset(), Close(), Reset(early=True), Garbage(), Garbage(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nshort"),
], ids=["408", "425", "500", "502", "503", "599", "reset", "close", "reset-early", "garbage", "cut-short"])
def test_outage_is_retried_with_the_same_batch(collector, make_uploader, trouble):
    uploader = make_uploader({"main": logtail(collector)})
    uploader.fill(3)
    collector.script(trouble)
    uploader.start()
    messages = collector.wait_messages(3)
    uploader.stop()
    assert sequences(messages) == [1, 2, 3]
    tried = [request for request in collector.requests if request.messages]
    assert len(tried) == (1 if isinstance(trouble, Reset) and trouble.early else 2)
    assert len({request.body for request in tried}) == 1


def test_no_backoff_is_shorter_than_half_a_second(collector, make_uploader):
    """Three failures: at least 0.5, 1 and 2 s apart, at most 1, 2 and 4 (plus what a busy machine adds)."""
    uploader = make_uploader({"main": logtail(collector)})
    uploader.fill(1)
    collector.script(Answer(500), Answer(500), Answer(500))
    uploader.start()
    collector.wait_messages(1)
    uploader.stop()
    times = [request.time for request in collector.requests]
    waits = [after - before for before, after in zip(times, times[1:])]
    for wait, bound in zip(waits, (1, 2, 4)):
        assert bound / 2 <= wait <= bound + 1


@pytest.mark.parametrize("form", ["seconds", "date"])
def test_retry_after(collector, make_uploader, form):
    value = "2" if form == "seconds" else formatdate(time.time() + 3, usegmt=True)
    uploader = make_uploader({"main": logtail(collector)})
    uploader.fill(1)
    collector.script(Answer(429, {"Retry-After": value}))
    uploader.start()
    collector.wait_messages(1)
    uploader.stop()
    first, second = collector.requests
    assert 1.5 <= second.time - first.time <= 5


def test_hang_ends_with_the_timeout(collector, make_uploader):
    uploader = make_uploader({"main": logtail(collector, timeout="500ms")})
    uploader.fill(1)
    collector.script(Hang())
    uploader.start()
    collector.wait_messages(1)
    uploader.stop()
    assert collector.requests[1].time - collector.requests[0].time >= 0.5


def test_an_answer_after_the_timeout_does_not_count(collector, make_uploader):
    """A 200 after the time-out: the batch comes again, whole and unchanged."""
    hang = Hang(then=Answer(200))
    uploader = make_uploader({"main": logtail(collector, timeout="300ms")})
    uploader.fill(3)
    collector.script(hang)
    uploader.start()
    requests = collector.wait_requests(2)
    hang.release()
    collector.wait(lambda c: c.requests[1].accepted)
    uploader.stop()
    assert requests[0].body == requests[1].body


def test_trickled_answer(collector, make_uploader):
    uploader = make_uploader({"main": logtail(collector)})
    uploader.fill(1)
    collector.script(Trickle(Answer(200, body="ok")))
    uploader.start()
    collector.wait_messages(1)
    uploader.fill(1)
    assert sequences(collector.wait_messages(2)) == [1, 2]
    uploader.stop()


@pytest.mark.parametrize("body", ["<html><title>Please log in</title></html>", "Welcome to the proxy\n",
                                  '{"error":"invalid collection name"}'])
def test_a_page_is_not_an_answer(collector, make_uploader, side, body):
    """Whatever its status: what does not answer as a log collector has taken nothing."""
    collector.default = Answer(200, body=body)
    uploader = make_uploader({"main": logtail(collector)})
    watch = side(uploader)
    uploader.fill(2)
    uploader.start()
    sink = watch.wait_sink("main", lambda s: s["state"] == "misconfigured")
    assert sink["lastError"] == "HTTP 200 OK: this is not a log collector (a web page, a portal?): correct url"
    assert (sink["backlogMessages"], sink["deliveredSequence"]) == (2, 0)
    collector.default = Answer(200, body='{"ok":true}')
    uploader.reload()
    watch.wait_sink("main", lambda s: s["deliveredSequence"] == 2)
    uploader.stop()


def test_interim_answer_is_not_the_answer(collector, make_uploader):
    uploader = make_uploader({"main": logtail(collector)})
    uploader.fill(1)
    collector.script(Answer(503, interim=True))
    uploader.start()
    assert sequences(collector.wait_messages(1)) == [1]
    uploader.stop()
    assert [request.status for request in collector.requests] == [503, 200]


@pytest.mark.parametrize("status", [200, 201, 202, 204])
def test_any_2xx_is_delivered(collector, make_uploader, status):
    uploader = make_uploader({"main": logtail(collector)})
    uploader.fill(1)
    collector.script(Answer(status))
    uploader.start()
    collector.wait_requests(1)
    uploader.fill(1)
    collector.wait_requests(2)
    uploader.stop()
    assert [sequences(request.messages) for request in collector.requests] == [[1], [2]]


def test_huge_answer_is_not_read(collector, make_uploader):
    """64 KiB of an answer are enough for its status."""
    uploader = make_uploader({"main": logtail(collector)})
    uploader.fill(1)
    collector.script(Answer(200, body=b"x" * (8 << 20)))
    uploader.start()
    collector.wait_requests(1)
    uploader.fill(1)
    assert sequences(collector.wait_messages(2)) == [1, 2]
    uploader.stop()


@pytest.mark.parametrize("status,reason", [(301, " Moved Permanently"), (302, " Found"), (307, " Temporary Redirect"),
                                           (401, " Unauthorized"), (403, " Forbidden"), (404, " Not Found"),
                                           (405, " Method Not Allowed"), (410, " Gone"), (499, "")])
def test_misconfigured(collector, make_uploader, side, status, reason):
    """Other 3xx and 4xx: reported, but not in the words of a server that knows the log ID; not followed, and retried
    only later or by a reload."""
    collector.default = Answer(status, {"Location": collector.url + "/elsewhere"}, "go away please")
    uploader = make_uploader({"main": logtail(collector)})
    watch = side(uploader)
    uploader.fill(1)
    uploader.start()
    sink = watch.wait_sink("main", lambda s: s["state"] == "misconfigured")
    to = f": redirected to {collector.url}, which is not followed: correct url" if status < 400 else ""
    assert sink["lastError"] == f"HTTP {status}{reason}{to}"
    assert sink["backlogMessages"] == 1
    assert len(collector.requests) == 1
    collector.default = Answer(200)
    uploader.reload()
    collector.wait_messages(1)
    watch.wait_sink("main", lambda s: s["state"] in ("ok", "idle") and s["backlogMessages"] == 0)
    uploader.stop()
    assert all(request.path.startswith("/c/") for request in collector.requests)
