#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""How fast the uploader drains a spool, and what memory it takes: to a logtail collector on loopback, to
Debian's clickhouse-server, and to a server that takes rows and throws them away.

usage: upload.py BUILD-DIRECTORY
"""
import os
import resource
import shutil
import sys
import tempfile
import time
from pathlib import Path

os.environ["NETLOGD_BUILD"] = sys.argv[1]
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "integration"))

from collector import Answer, Collector  # noqa: E402
from lib.clickhouse import MARK, ClickHouse, answer_question, statements  # noqa: E402
from lib.uploader import DaemonSide, Uploader  # noqa: E402

SCHEMA = Path(__file__).resolve().parents[2] / "packaging" / "clickhouse" / "old.sql"


def usage(pid):
    """CPU seconds and the largest resident size in MB."""
    with open(f"/proc/{pid}/stat", encoding="ascii") as stat:
        fields = stat.read().rsplit(")", 1)[1].split()
    with open(f"/proc/{pid}/status", encoding="ascii") as status:
        peak = next(int(line.split()[1]) for line in status if line.startswith("VmHWM"))
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK"), peak / 1024


def drain(directory, sink, messages, entries, size):
    """Fills a spool, drains it; seconds, CPU seconds, MB resident, bytes of JSON."""
    uploader = Uploader(directory, {"sink": sink})
    try:
        uploader.fill(messages, entries=entries, **({"size": size} if size else {}))
        side = DaemonSide(directory / "upload.sock")
        begin = time.monotonic()
        uploader.start()
        status = side.wait_sink("sink", lambda s: s["deliveredSequence"] == messages, "all", 300)
        seconds = time.monotonic() - begin
        cpu, memory = usage(uploader.process.pid)
        uploader.stop()
        side.close()
        return seconds, cpu, memory, status["sentBytes"]
    finally:
        uploader.close()


def logtail(directory):
    """On the disk, where each batch costs a sync of the cursor, and in memory, where it does not."""
    for place, where in ((directory, "on disk"), (Path(tempfile.mkdtemp(prefix="nlbench", dir="/dev/shm")), "in memory")):
        try:
            logtail_in(place, where)
        finally:
            shutil.rmtree(place, ignore_errors=True)


def sync_time(directory):
    """Seconds that one fdatasync of a small file takes here and now."""
    fd = os.open(directory / "sync", os.O_RDWR | os.O_CREAT, 0o600)
    os.pwrite(fd, bytes(4096), 0)
    os.fsync(fd)
    begin = time.monotonic()
    for i in range(20):
        os.pwrite(fd, bytes([i]), 0)
        os.fdatasync(fd)
    os.close(fd)
    return (time.monotonic() - begin) / 20


def logtail_in(directory, where):
    with Collector(keep=False) as collector:
        seconds, cpu, memory, size = drain(directory, {"type": "logtail", "url": collector.url, "collection": "x"},
                                           2400, 2000, None)
        print(f"logtail, state {where} (a sync takes {sync_time(directory) * 1000:.2f} ms): {size / seconds / 1e6:.0f} MB/s of JSON, {len(collector.requests) / seconds:.0f} requests/s, "
              f"{cpu / size * 1e9:.2f} ns CPU a byte, {memory:.1f} MB resident, "
              f"compressed to {100 * collector.raw_bytes / size:.1f} %")


def play(request):
    """Any collector's answer."""
    query = request.query.get("query", "")
    return Answer(200, MARK, answer_question(query, ["insert_deduplication_token"]) or "")


def send_windows(directory, sink, windows, messages, entries):
    """Windows one after the other, each delivered before the next comes; the requests."""
    with Collector() as collector:
        collector.default = play
        uploader = Uploader(directory, {"sink": {**sink, "url": collector.url, "max-batch-size": "4K"}})
        side = DaemonSide(directory / "upload.sock")
        try:
            uploader.start()
            for window in range(1, windows + 1):
                uploader.fill(messages, entries=entries, varied=True)
                side.wait_sink("sink", lambda s, last=window * messages: s["deliveredSequence"] == last, "all", 60)
            uploader.stop()
        finally:
            uploader.close()
            side.close()
        return [request for request in collector.requests if request.method == "POST"]


def wire(directory):
    """What windows cost on the wire, each message a request of its own, as they come. Ports, peers and counts are
    random, which is as bad as it gets."""
    for connections in 10, 1000, 100_000:
        # A message holds about 1,900 connections.
        messages = -(-connections // 1900)
        windows, entries = max(10 // messages, 1), connections // messages
        for sink in ({"type": "logtail", "collection": "x"},
                     {"type": "clickhouse", "database": "netlogd", "table": "flows", "flush-interval": "0"}):
            place = directory / f"{connections}-{sink['type']}"
            place.mkdir()
            requests = send_windows(place, sink, windows, messages, entries)
            total = windows * messages * entries
            body = sum(len(request.raw) for request in requests)
            head = sum(len(request.target) + sum(len(name) + len(value) + 4 for name, value in request.headers.items())
                       for request in requests)
            print(f"{connections} connections a window, {sink['type']}: {body / total:.1f} bytes a connection, "
                  f"{(body + head) / total:.1f} with HTTP/1.1 headers")


def clickhouse(directory):
    if not shutil.which("clickhouse-server"):
        print("clickhouse: skipped, no clickhouse-server")
        return
    (directory / "server").mkdir()
    server = ClickHouse(directory / "server")
    try:
        for statement in statements(SCHEMA):
            server.query(statement)
        seconds, cpu, memory, _ = drain(directory, {
            "type": "clickhouse", "url": server.url, "database": "netlogd", "table": "flows", "flush-interval": "0"},
            800, 2000, None)
        rows = int(server.value("SELECT count() FROM netlogd.flows"))
        served, _ = usage(server.process.pid)
        print(f"clickhouse {server.value('SELECT version()')}: {rows / seconds / 1000:.0f} k rows/s, "
              f"{cpu / rows * 1e9:.0f} ns CPU a row and the server's {served / rows * 1e9:.0f}, {memory:.1f} MB resident")
    finally:
        server.close()


def rows(directory):
    with Collector(keep=False) as collector:
        collector.default = play
        seconds, cpu, memory, _ = drain(directory, {
            "type": "clickhouse", "url": collector.url, "database": "netlogd", "table": "flows", "flush-interval": "0"},
            800, 2000, None)
        n = 800 * 2000
        print(f"rows made and compressed (zstd): {n / cpu / 1000:.0f} k/s of CPU, {n / seconds / 1000:.0f} k/s in all, "
              f"{collector.raw_bytes / n:.1f} bytes a row on the wire, {memory:.1f} MB resident")


def main():
    for measure in (logtail, clickhouse, rows, wire):
        path = Path(tempfile.mkdtemp(prefix="nlbench"))
        try:
            measure(path)
        finally:
            shutil.rmtree(path, ignore_errors=True)
    print(f"(all of it took {resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime:.0f} s of CPU)")


if __name__ == "__main__":
    main()
