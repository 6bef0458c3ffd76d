"""Full speed from both CPUs while windows change: what is logged is what was sent, to the packet and the byte."""
import os
import signal
import threading
import time

import pytest

from lib import traffic
from lib.tun import Tun

SECONDS = 5
SOAK_SECONDS = 45
SIZE = 100
PACKET = SIZE + traffic.UDP4_HEADERS


def cpus():
    return sorted(os.sched_getaffinity(0))[:2]


@pytest.fixture
def tun(network):
    # Two addresses, so that the senders never share a connection.
    tun = Tun(network, network.namespace())
    tun.namespace.ip("address", "add", "100.64.0.3/16", "dev", tun.interface)
    return tun


def sections(tun, collector):
    return {
        "tun": {"interface": tun.interface}, "sock": {"source": "none"},
        "routes": {"mode": "static", "local-addr": "100.64.0.1,100.64.0.3", "route": "100.64.0.0/16"},
        "record": {"period": "100ms"},
        "upload a": {"type": "logtail", "url": collector.url, "collection": "c"}}


def check_status(daemon):
    status = daemon.status()
    assert status["record"]["conservationFailures"] == 0
    assert status["tun"]["errors"] == 0
    return status


def check_sequence(messages):
    numbers = [message["logtail"]["proc_seq"] for message in messages]
    assert numbers == list(range(1, len(numbers) + 1))
    windows = [(traffic.nanoseconds(message["start"]), traffic.nanoseconds(message["end"]))
               for message in messages if "start" in message]
    assert all(start <= end for start, end in windows)
    for before, after in zip(windows, windows[1:]):
        assert after == before or after[0] > before[1]


def test_nothing_is_lost_between_windows(tun, netlogd, collector_in):
    collector = collector_in(tun.namespace)
    daemon = netlogd(tun.namespace, sections(tun, collector)).start()
    flood = traffic.Flood(tun.namespace, ["100.64.0.1", "100.64.0.3"], "100.64.0.9", SECONDS, cpus(), SIZE, ports=64)
    sent = flood.result()
    daemon.flush(deadline_ms=30000)
    messages = collector.messages
    assert traffic.total(messages) == traffic.Counts(sent, sent * PACKET, 0, 0)
    assert len([message for message in messages if "start" in message]) >= SECONDS * 4
    status = check_status(daemon)
    assert status["tun"]["totals"]["txPkts"] == sent
    check_sequence(messages)


def test_one_connection_on_both_cpus(tun, netlogd, collector_in):
    """Two processes with one source and destination each, counted by both CPUs into one entry a window."""
    collector = collector_in(tun.namespace)
    daemon = netlogd(tun.namespace, sections(tun, collector)).start()
    sent = traffic.Flood(tun.namespace, ["100.64.0.1", "100.64.0.3"], "100.64.0.9", 2, cpus(), SIZE, ports=1).result()
    daemon.flush(deadline_ms=30000)
    sums = traffic.sums(collector.messages)
    assert len(sums) == 2
    assert sum(counts.txPkts for counts in sums.values()) == sent
    for message in collector.messages:
        keys = [(entry["proto"], entry["src"], entry["dst"]) for _, entry in traffic.entries([message])]
        assert len(keys) == len(set(keys))


def test_more_connections_than_fit(tun, netlogd, collector_in):
    """What does not fit is counted as overflow: entries and overflow together are all there was."""
    collector = collector_in(tun.namespace)
    configuration = sections(tun, collector)
    configuration["tun"]["max-flows"] = 64
    configuration["record"]["period"] = "1s"
    daemon = netlogd(tun.namespace, configuration).start()
    sent = traffic.Flood(tun.namespace, ["100.64.0.1", "100.64.0.3"], "100.64.0.9", 3, cpus(), SIZE, ports=500).result()
    daemon.flush(deadline_ms=30000)
    messages = collector.messages
    assert traffic.total(messages, overflow=True) == traffic.Counts(sent, sent * PACKET, 0, 0)
    assert any("overflow" in message for message in messages)
    status = check_status(daemon)
    overflow = sum(message["overflow"]["tun"]["txPkts"] for message in messages if "overflow" in message)
    assert status["tun"]["overflow"]["txPkts"] == overflow


def test_soak(tun, netlogd, collector_in):
    """Changing connections on both CPUs, a window's end every 50 ms, routes changing and SIGHUPs, all at once."""
    collector = collector_in(tun.namespace)
    daemon = netlogd(tun.namespace, sections(tun, collector)).start()
    seconds = int(os.environ.get("NETLOGD_SOAK_SECONDS", SOAK_SECONDS))
    flood = traffic.Flood(tun.namespace, ["100.64.0.1", "100.64.0.3"], "100.64.0.9", seconds, cpus(), SIZE, ports=100,
                          change=20000)
    stopping = threading.Event()
    failures = []

    def every(interval, call):
        try:
            while not stopping.wait(interval):
                call()
        except Exception as error:  # pylint: disable=broad-except
            failures.append(error)

    def change_routes():
        change_routes.odd = not change_routes.odd
        routes = ["100.64.0.0/16"] + (["10.0.0.0/8"] if change_routes.odd else [])
        daemon.call("Reconfig", routes={"localAddrs": ["100.64.0.1", "100.64.0.3"], "routes": routes, "subnetRoutes": []})

    change_routes.odd = False
    tasks = [(0.05, lambda: daemon.call("Flush", deadlineMs=0)), (0.3, change_routes),
             (1.0, lambda: daemon.process.signal(signal.SIGHUP))]
    threads = [threading.Thread(target=every, args=task) for task in tasks]
    began = time.monotonic()
    for thread in threads:
        thread.start()
    try:
        sent = flood.result(seconds + 60)
    finally:
        stopping.set()
        for thread in threads:
            thread.join()
    elapsed = time.monotonic() - began
    assert failures == []
    daemon.flush(deadline_ms=60000)
    messages = collector.messages
    total = traffic.total(messages, overflow=True)
    assert total == traffic.Counts(sent, sent * PACKET, 0, 0)
    status = check_status(daemon)
    assert status["record"]["windows"] >= elapsed * 8
    check_sequence(messages)
    daemon.stop()
