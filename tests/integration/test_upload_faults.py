# SPDX-License-Identifier: BSD-3-Clause
"""The uploader while its system calls fail or its metrics port is under attack: it skips no message."""
import contextlib
import os
import resource
import select
import socket
import time

import pytest

from collector import Answer, Collector
from lib.failing import FailingCalls
from lib.uploader import DaemonSide, Uploader, sequences, wait_until

REFUSED = 5  # in ten


@pytest.fixture
def collector():
    with Collector() as made:
        yield made


@pytest.fixture
def calls(directory):
    made = FailingCalls(directory / "calls")
    yield made
    made.close()


@pytest.fixture
def uploader(directory, collector):
    made = Uploader(directory, {"main": {"type": "logtail", "url": collector.url, "collection": "x",
                                         "max-batch-size": "4K"}})
    yield made
    made.close()


@pytest.fixture
def side(directory, uploader):
    made = DaemonSide(uploader.directory / "upload.sock")
    yield made
    made.close()


def seen(collector):
    """The accepted sequences, without repetitions, in the order of first arrival."""
    return list(dict.fromkeys(sequences(collector.messages)))


def keep_alive(uploader, calls):
    """Restarts an uploader that has exited, as the daemon does; it must have exited cleanly."""
    if not uploader.process.running:
        assert uploader.process.wait() in (0, 1), uploader.log()
        uploader.process.close()
        calls.stop()
        uploader.start(env=calls.env())


def wait_until_settled(uploader, side, calls, last):
    def settled():
        keep_alive(uploader, calls)
        sink = side.sinks.get("main", {})
        return sink.get("deliveredSequence") == last and sink
    return wait_until(settled, f"delivery up to {last}", 60)


def check_all_there(uploader, collector, sink, last):
    refused = [n for n in range(1, last + 1) if n % 10 == REFUSED]
    assert sequences(uploader.quarantined("main")) == refused
    found = seen(collector)
    assert found == [n for n in range(1, last + 1) if n % 10 != REFUSED]
    assert not [message for message in collector.messages if "proc_seq" not in message["logtail"]], "a loss was told"
    assert sink["lostMessages"] == 0 and sink["backlogMessages"] == 0
    assert sink["cursorViolations"] == 0


def refuse_some(request):
    return Answer(400 if any(n % 10 == REFUSED for n in sequences(request.messages)) else 200)


CASES = [("open", "EMFILE"), ("open", "ENOMEM"), ("open", "EIO"), ("read", "EIO"), ("read", "ENOMEM"), ("seek", "EIO"),
         ("write", "ENOSPC"), ("write", "EIO"), ("sync", "EIO"), ("rename", "ENOSPC"), ("map", "ENOMEM"),
         ("allocate", "ENOMEM")]


# Each failure costs a second until the retry. Where ENOMEM differs is tested with all calls failing.
@pytest.mark.parametrize("kind, error", [case for case in CASES if case[1] != "ENOMEM" or case[0] not in ("open", "read")])
def test_each_call_in_turn(uploader, collector, side, calls, kind, error):
    """One call fails, a later one each time, while messages flow and some are refused."""
    collector.default = refuse_some
    uploader.fill(11, size=900)
    uploader.start(env=calls.env())
    wait_until_settled(uploader, side, calls, 11)
    hit = 0
    for after in range(8 if kind == "allocate" else 12):
        calls.once(kind, error, after * 3 if kind != "allocate" else after * 17)
        uploader.fill(10, size=900)
        sink = wait_until_settled(uploader, side, calls, uploader.next_seq - 1)
        hit += calls.failed
    if kind not in ("seek", "map", "allocate"):
        assert hit > 0, "nothing failed"
    calls.stop()
    # Also where the call that failed was one that counts the backlog.
    sink = side.wait_sink("main", lambda s: s["backlogMessages"] == 0)
    check_all_there(uploader, collector, sink, uploader.next_seq - 1)


@pytest.mark.parametrize("kind, error", CASES)
def test_all_fail_for_a_while(uploader, collector, side, calls, kind, error):
    """All calls of a kind fail for two seconds, while messages flow and are delivered."""
    collector.default = refuse_some
    uploader.fill(21, size=900)
    uploader.start(env=calls.env())
    collector.wait_requests(1)
    calls.during(kind, error, 2)
    uploader.fill(20, size=900)
    uploader.fill(10, size=900)
    sink = wait_until_settled(uploader, side, calls, 51)
    check_all_there(uploader, collector, sink, 51)


def test_unreadable_spool_is_reported(uploader, collector, side, calls):
    """Status says what is wrong, the log says it once, and both say when it is over."""
    uploader.fill(4, size=900)
    uploader.start(env=calls.env())
    side.wait_sink("main", lambda s: s["deliveredSequence"] == 4)
    calls.during("open", "EMFILE", 4)
    uploader.fill(8, size=900)
    sink = side.wait_sink("main", lambda s: s["state"] == "retrying")
    assert sink["lastError"] == "spool: Too many open files"
    assert sink["deliveredSequence"] == 4
    sink = side.wait_sink("main", lambda s: s["deliveredSequence"] == 12)
    assert seen(collector) == list(range(1, 13))
    assert "lastError" not in sink
    log = uploader.log()
    assert log.count("cannot read the spool: Too many open files; trying again") == 1
    assert log.count("the spool can be read again") == 1


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as free:
        return free.getsockname()[1]


def listen_on(uploader, port):
    uploader.sections["netlogd"]["metrics-listen"] = f"127.0.0.1:{port}"
    uploader.configure(uploader.sinks)


def scrape(port, timeout=5):
    with socket.create_connection(("127.0.0.1", port), timeout) as connection:
        connection.settimeout(timeout)
        connection.sendall(b"GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        data = b""
        while piece := connection.recv(65536):
            data += piece
    return data


def sample(answer, name):
    return int(answer.split(f"\n{name} ".encode())[1].split(b"\n")[0])


def cpu_seconds(pid):
    with open(f"/proc/{pid}/stat", encoding="ascii") as stat:
        fields = stat.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@contextlib.contextmanager
def files_limit(limit):
    """Limits the descriptors of this process, and of those started meanwhile."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, limit), hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_slow_clients_of_the_metrics_port(uploader, collector, side):
    """1,100 connections that send half a request: messages are delivered, and a scraper gets its answer."""
    port = free_port()
    listen_on(uploader, port)
    uploader.fill(5, size=900)
    with files_limit(1024):
        uploader.start()
    side.wait_sink("main", lambda s: s["deliveredSequence"] == 5)
    side.tell(metrics="netlogd_up 1\n")
    wait_until(lambda: scrape(port).startswith(b"HTTP/1.1 200 "), "metrics")
    before, began = cpu_seconds(uploader.process.pid), time.monotonic()
    with files_limit(4096), contextlib.ExitStack() as stack:
        poll, left = select.poll(), set()
        for _ in range(1100):
            slow = stack.enter_context(socket.create_connection(("127.0.0.1", port), 20))
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                slow.sendall(b"GET /metrics HTTP/1.1\r\nHost")
            poll.register(slow, select.POLLIN)
            left.add(slow.fileno())
        uploader.fill(15, size=900)
        side.wait_sink("main", lambda s: s["deliveredSequence"] == 20, timeout=5)
        answer = scrape(port)
        assert answer.startswith(b"HTTP/1.1 200 ") and b"\nnetlogd_up 1\n" in answer
        assert sample(answer, "netlogd_metrics_dropped_total") >= 1100 - 32
        assert sample(answer, "netlogd_metrics_accept_errors_total") == 0
        # The rest are closed too: none lives long.
        while left:
            events = poll.poll(20000)
            assert events, f"{len(left)} connections live on"
            for fd, _ in events:
                poll.unregister(fd)
                left.discard(fd)
            uploader.fill(1, size=900)
    side.wait_sink("main", lambda s: s["deliveredSequence"] == uploader.next_seq - 1)
    took = time.monotonic() - began
    assert cpu_seconds(uploader.process.pid) - before < 0.2 * took
    assert seen(collector) == list(range(1, uploader.next_seq))
    assert sample(scrape(port), "netlogd_metrics_dropped_total") == 1100
    assert 1 <= uploader.log().count("metrics port: ") <= 2
    assert len(uploader.log()) < 100_000


def test_metrics_port_without_descriptors(uploader, collector, side, calls):
    """Connections that cannot be accepted wait; they cost neither CPU time nor a log line each."""
    port = free_port()
    listen_on(uploader, port)
    uploader.start(env=calls.env())
    side.wait(lambda: side.identity, "Identify")
    side.tell(metrics="netlogd_up 1\n")
    wait_until(lambda: scrape(port).startswith(b"HTTP/1.1 200 "), "metrics")
    before, began = cpu_seconds(uploader.process.pid), time.monotonic()
    calls.during("accept", "EMFILE", 3)
    answer = scrape(port, 20)
    took = time.monotonic() - began
    assert answer.startswith(b"HTTP/1.1 200 ")
    assert 2.5 < took < 15
    assert cpu_seconds(uploader.process.pid) - before < 0.2 * took
    # Ten per second.
    assert 10 <= sample(answer, "netlogd_metrics_accept_errors_total") == calls.failed <= 40
    assert uploader.log().count("metrics port: Too many open files") == 1


def test_metrics_client_that_does_not_read(uploader, side):
    """An answer larger than any buffer that nobody reads: its connection is closed after a while."""
    port = free_port()
    listen_on(uploader, port)
    uploader.start()
    side.wait(lambda: side.identity, "Identify")
    side.tell(metrics="netlogd_up 1\n" + "# filler\n" * 200_000)
    wait_until(lambda: scrape(port).startswith(b"HTTP/1.1 200 "), "metrics")
    with contextlib.closing(socket.socket()) as deaf:
        deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        deaf.connect(("127.0.0.1", port))
        deaf.sendall(b"GET /metrics HTTP/1.1\r\n\r\n")
        poll = select.poll()
        poll.register(deaf, select.POLLHUP | select.POLLERR)
        assert poll.poll(20000), "it is waited for without end"
    assert len(scrape(port)) > 1_800_000
