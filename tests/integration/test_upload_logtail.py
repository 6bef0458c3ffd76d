# SPDX-License-Identifier: BSD-3-Clause
"""The uploader and the logtail protocol: what is sent, what each answer leads to, and what is never lost."""
import hashlib
import json
import os
import re
import socket
import stat
import time
from base64 import b64encode
from email.utils import formatdate

import pytest

from collector import Answer, Close, Collector, Garbage, Hang, Reset, Trickle
from lib.uploader import DaemonSide, Uploader, sequences, wait_delivered, wait_until


@pytest.fixture
def collector():
    with Collector() as made:
        yield made


@pytest.fixture
def make_uploader(directory):
    made = []

    def make(sinks, sections=None, name=""):
        path = directory / f"u{name}"
        path.mkdir()
        uploader = Uploader(path, sinks, sections)
        made.append(uploader)
        return uploader

    yield make
    for uploader in made:
        uploader.close()


@pytest.fixture
def side(directory):
    """Makes the daemon's side of an uploader's link."""
    made = []

    def make(uploader):
        made.append(DaemonSide(uploader.directory / "upload.sock"))
        return made[-1]

    yield make
    for one in made:
        one.close()


def logtail(collector, **keys):
    return {"type": "logtail", "url": collector.url, "collection": "flows.test",
            **{key.replace("_", "-"): value for key, value in keys.items()}}


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
    assert sink["lastError"] == f"HTTP {status}{reason}"
    assert sink["backlogMessages"] == 1
    assert len(collector.requests) == 1
    collector.default = Answer(200)
    uploader.reload()
    collector.wait_messages(1)
    watch.wait_sink("main", lambda s: s["state"] in ("ok", "idle") and s["backlogMessages"] == 0)
    uploader.stop()
    assert all(request.path.startswith("/c/") for request in collector.requests)


def refuse(*sequence_numbers, status=400):
    """Refuses every batch that holds one of these messages."""
    def answer(request):
        return Answer(status if set(sequences(request.messages)) & set(sequence_numbers) else 200)
    return answer


@pytest.mark.parametrize("status", [400, 413, 422])
def test_one_refused_message(collector, make_uploader, side, status):
    """Only it goes to quarantine, once a later one is accepted; the rest arrives once, in order."""
    collector.default = refuse(11, status=status)
    uploader = make_uploader({"main": logtail(collector)})
    watch = side(uploader)
    uploader.fill(20)
    uploader.start()
    messages = wait_delivered(collector, 20)
    sink = watch.wait_sink("main", lambda s: s["quarantined"] == 1 and s["backlogMessages"] == 0)
    uploader.stop()
    assert sequences(messages) == [n for n in range(1, 21) if n != 11]
    assert sequences(uploader.quarantined("main")) == [11]
    assert sink["state"] in ("ok", "idle")


def test_a_refused_message_at_the_end_waits_for_a_later_one(collector, make_uploader):
    collector.default = refuse(3)
    uploader = make_uploader({"main": logtail(collector)})
    uploader.fill(3)
    uploader.start()
    collector.wait(lambda c: c.requests and sequences(c.requests[-1].messages) == [3])
    assert uploader.quarantined("main") == []
    uploader.fill(1)
    wait_delivered(collector, 4)
    wait_until(lambda: uploader.quarantined("main"), "quarantine")
    assert sequences(uploader.quarantined("main")) == [3]
    uploader.stop()


def test_set_aside_messages_survive_a_kill(collector, make_uploader):
    """Refused and not yet in quarantine when the uploader is killed: they are sent again."""
    collector.default = refuse(2, 3)
    uploader = make_uploader({"main": logtail(collector)})
    uploader.fill(3)
    uploader.start()
    collector.wait(lambda c: c.requests and sequences(c.requests[-1].messages) == [3])
    uploader.kill()
    uploader.fill(1)
    uploader.start()
    wait_delivered(collector, 4)
    wait_until(lambda: len(uploader.quarantined("main")) == 2, "quarantine")
    uploader.stop()
    assert sequences(uploader.quarantined("main")) == [2, 3]
    assert sequences(collector.messages) == [1, 4]


def test_all_refused_is_a_misconfiguration(collector, make_uploader, side):
    """Ten in a row: nothing goes to quarantine, nothing is lost."""
    collector.default = Answer(400, body="no such collection")
    uploader = make_uploader({"main": logtail(collector)})
    watch = side(uploader)
    uploader.fill(30)
    uploader.start()
    sink = watch.wait_sink("main", lambda s: s["state"] == "misconfigured")
    assert sink["lastError"] == "HTTP 400 Bad Request"
    assert sink["quarantined"] == 0 and sink["backlogMessages"] == 30
    alone = [sequences(request.messages) for request in collector.requests if len(request.messages) == 1]
    assert alone == [[n] for n in range(1, 11)]
    collector.default = Answer(200)
    uploader.reload()
    messages = wait_delivered(collector, 30)
    uploader.stop()
    assert sequences(messages) == list(range(1, 31))
    # After the ten, only the first is retried.
    assert sequences(collector.accepted[0].messages) == [1]
    assert uploader.quarantined("main") == []


def test_collector_down_and_back(collector, make_uploader, side):
    uploader = make_uploader({"main": logtail(collector)})
    watch = side(uploader)
    uploader.fill(2)
    uploader.start()
    # Wait for the report, not only for the delivery: otherwise the two may come again.
    watch.wait_sink("main", lambda s: s["deliveredSequence"] == 2)
    collector.stop()
    uploader.fill(5)
    sink = watch.wait_sink("main", lambda s: s["state"] == "retrying" and s["backlogMessages"] == 5)
    assert sink["lastError"] and sink["deliveredSequence"] == 2
    collector.start()
    assert sequences(collector.wait_messages(7)) == list(range(1, 8))
    sink = watch.wait_sink("main", lambda s: s["backlogMessages"] == 0)
    assert "lastError" not in sink
    uploader.stop()


def test_two_sinks_one_dead(collector, make_uploader):
    """A dead sink holds up nothing, and has its own cursor."""
    with Collector() as dead:
        dead.default = Hang()
        uploader = make_uploader({"alive": logtail(collector), "dead": logtail(dead)})
        uploader.fill(3)
        uploader.start()
        collector.wait_messages(3)
        dead.wait_requests(1)
        for _ in range(20):
            uploader.fill(1)
        assert sequences(wait_delivered(collector, 23)) == list(range(1, 24))
        assert len(dead.requests) == 1
        dead.default = Answer(200)
        uploader.stop()
        uploader.start()
        assert sequences(wait_delivered(dead, 23)) == list(range(1, 24))
        uploader.stop()


def test_kill_loop_loses_nothing(collector, make_uploader):
    """SIGKILL again and again under load: everything arrives, in order; only whole batches are repeated."""
    uploader = make_uploader({"main": logtail(collector, max_batch_size="8K")})
    count = 6000
    filler = uploader.fill_beside(count, size=300, rate=3000)
    kills = 0
    while filler.poll() is None or kills < 15:
        before = len(collector.requests)
        uploader.start()
        try:
            collector.wait_requests(before + 1 + kills % 5, 5)
        except TimeoutError:
            pass
        uploader.kill()
        kills += 1
    assert filler.wait() == 0
    uploader.start()
    wait_delivered(collector, count)
    uploader.stop()
    bodies = []
    for request in collector.accepted:
        if not bodies or request.body != bodies[-1]:
            bodies.append(request.body)
    seen = [n for body in bodies for n in sequences(json.loads(body))]
    assert seen == list(range(1, count + 1))


def check_loss(messages, after, last):
    """Asserts that one loss is reported, just before the first message after it, with the right numbers; returns them."""
    texts = [(i, message) for i, message in enumerate(messages) if "text" in message]
    assert len(texts) == 1
    index, loss = texts[0]
    match = re.fullmatch(r"netlogd: lost (\d+) messages \((\d+) bytes\) from (\S+) to (\S+): spool full",
                         loss["text"])
    assert match, loss
    assert set(loss["logtail"]) == {"client_time", "proc_id"} and loss["logtail"]["proc_id"] == 4711
    lost, lost_bytes = int(match[1]), int(match[2])
    assert sequences(messages[:index]) == list(range(1, after + 1))
    assert sequences(messages[index + 1:]) == list(range(after + lost + 1, last + 1))
    assert lost_bytes == pytest.approx(lost * 1000, rel=0.02)
    assert lost > 1000
    return lost, lost_bytes


def test_loss_is_reported_in_its_place(collector, make_uploader, side):
    """The spool's cap removes messages that a sink lacks: reported exactly, in the stream."""
    uploader = make_uploader({"main": logtail(collector)})
    watch = side(uploader)
    uploader.fill(5, size=1000)
    uploader.start()
    watch.wait_sink("main", lambda s: s["deliveredSequence"] == 5)
    uploader.stop()
    uploader.fill(9000, size=1000, max_size=4 << 20)
    uploader.start()
    messages = wait_delivered(collector, 9005)
    sink = watch.wait_sink("main", lambda s: s["backlogMessages"] == 0)
    uploader.stop()
    assert check_loss(messages, 5, 9005) == (sink["lostMessages"], sink["lostBytes"])


def test_loss_of_a_sink_that_never_delivered(collector, make_uploader, side):
    """Down from the start, killed, and the spool full: everything it lacks is reported."""
    collector.default = Answer(503)
    uploader = make_uploader({"main": logtail(collector)})
    uploader.fill(5, size=1000)
    uploader.start()
    collector.wait_requests(1)
    uploader.kill()
    uploader.fill(9000, size=1000, max_size=4 << 20)
    collector.default = Answer(200)
    watch = side(uploader)
    uploader.start()
    messages = wait_delivered(collector, 9005)
    sink = watch.wait_sink("main", lambda s: s["backlogMessages"] == 0)
    uploader.stop()
    assert check_loss(messages, 0, 9005) == (sink["lostMessages"], sink["lostBytes"])


def test_loss_while_running_and_refused_at_first(collector, make_uploader, side):
    """A loss reported with a refused message is reported before the next one, and counted once."""
    uploader = make_uploader({"main": logtail(collector)})
    watch = side(uploader)
    uploader.fill(5, size=1000)
    uploader.start()
    watch.wait_sink("main", lambda s: s["deliveredSequence"] == 5)
    uploader.stop()
    uploader.fill(9000, size=1000, max_size=4 << 20)
    first = []

    def refuse_the_first(request):
        seen = sequences(request.messages)
        if not first:
            first.append(seen[0])
        return Answer(400 if first[0] in seen else 200)

    collector.default = refuse_the_first
    uploader.start()
    messages = wait_delivered(collector, 9005)
    sink = watch.wait_sink("main", lambda s: s["backlogMessages"] == 0)
    uploader.stop()
    texts = [message for message in messages if "text" in message]
    assert len(texts) == 1
    assert f"lost {first[0] - 6} messages" in texts[0]["text"]
    assert sequences(messages) == [*range(1, 6), *range(first[0] + 1, 9006)]
    assert sink["lostMessages"] == first[0] - 6 and sink["quarantined"] == 1


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
    """Started with a descriptor, it identifies itself there, and exits when the other end closes."""
    ours, theirs = socket.socketpair()
    uploader = make_uploader({"main": logtail(collector)})
    uploader.fill(2)
    uploader.start(["--fd", str(theirs.fileno())], pass_fds=[theirs.fileno()])
    theirs.close()
    side = DaemonSide(connection=ours)
    side.wait(lambda: side.identity, "Identify")
    side.wait_sink("main", lambda s: s["sentMessages"] == 2)
    side.close()
    assert uploader.process.wait(10) == 0


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
    uploader.stop()


def test_bad_configuration(make_uploader):
    uploader = make_uploader({"main": {"type": "logtail"}})
    uploader.start()
    assert uploader.process.wait(10) == 78
    assert f"{uploader.config}:" in uploader.log()
