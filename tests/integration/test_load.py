# SPDX-License-Identifier: BSD-3-Clause
"""Full speed from both CPUs while windows change: what is logged is what was sent, to the packet and the byte."""
import os

import pytest

from lib import traffic
from lib.tun import Tun

SECONDS = 5
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
    """Two processes with one source and destination, counted by both CPUs into one entry per window."""
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
    """What does not fit is overflow: entries and overflow together are everything."""
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
