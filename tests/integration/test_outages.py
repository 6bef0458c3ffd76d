# SPDX-License-Identifier: BSD-3-Clause
"""From the tunnel to the collector, while an end or something in between fails."""
import json
import os
import signal

import pytest

from collector import Answer, Close, Garbage, Reset
from lib import traffic
from lib.process import process_name
from lib.wait import wait_readable, wait_until


def sections(end, collector):
    return {
        "tun": {"interface": end.interface}, "record": {"period": "200ms"},
        "upload main": {"type": "logtail", "url": collector.url, "collection": "c", "timeout": "5s"}}


def key(left, right):
    return traffic.connection_key(17, left.address, 40000, right.address, 40001)


def without_duplicates(messages):
    """Delivery is at least once: a message may come again, whole."""
    seen = {}
    for message in messages:
        number = (message["logtail"]["proc_id"], message["logtail"]["proc_seq"])
        assert seen.setdefault(number, message) == message
    return list(seen.values())


def check_complete(messages):
    """Asserts that each run's messages are 1, 2, 3 ... in order; returns them."""
    messages = without_duplicates(messages)
    runs = {}
    for message in messages:
        runs.setdefault(message["logtail"]["proc_id"], []).append(message["logtail"]["proc_seq"])
    for numbers in runs.values():
        assert numbers == list(range(1, len(numbers) + 1))
    return messages


def test_collector_down_and_back(wireguard, netlogd, collector_in):
    left, right = wireguard
    collector = collector_in(left.namespace)
    daemon = netlogd(left.namespace, sections(left, collector)).start()
    collector.wait_messages(1)
    collector.stop()
    sent = sum(traffic.send_udp(left, right, 50, 200).txPkts for _ in range(4))
    assert daemon.call("Flush", deadlineMs=500)["pendingMessages"] >= 1
    wait_until(lambda: daemon.status()["sinks"][0]["state"] == "retrying", "the outage to be seen")
    assert daemon.status()["sinks"][0]["lastError"]
    with left.namespace.inside():
        collector.start()
    assert daemon.flush(deadline_ms=20000)["pendingMessages"] == 0
    messages = check_complete(collector.messages)
    assert traffic.sums(messages)[key(left, right)].txPkts == sent
    sink = daemon.status()["sinks"][0]
    assert sink["state"] in ("ok", "idle") and sink["lastSuccess"]
    assert (sink["backlogMessages"], sink["lostMessages"]) == (0, 0)


def test_uploader_killed(wireguard, netlogd, collector_in):
    """Nothing is lost, and the uploader is restarted."""
    left, right = wireguard
    collector = collector_in(left.namespace)
    daemon = netlogd(left.namespace, sections(left, collector)).start()
    sent = 0
    for _ in range(3):
        pid = wait_until(daemon.uploader, "an uploader")
        wait_until(lambda: daemon.status()["uploader"]["connected"], "the uploader to connect")
        os.kill(pid, signal.SIGKILL)
        sent += traffic.send_udp(left, right, 30, 200).txPkts
        wait_until(lambda old=pid: daemon.uploader() not in (None, old), "a new uploader")
    assert daemon.flush(deadline_ms=20000)["pendingMessages"] == 0
    messages = check_complete(collector.messages)
    assert traffic.sums(messages)[key(left, right)].txPkts == sent
    assert daemon.status()["uploader"]["restarts"] >= 3


def test_daemon_killed(wireguard, netlogd, collector_in):
    """At most the running window is lost; what was in the spool is delivered after the next start."""
    left, right = wireguard
    collector = collector_in(left.namespace)
    configuration = sections(left, collector)
    configuration["record"]["period"] = "1h"
    daemon = netlogd(left.namespace, configuration).start()
    collector.wait_messages(1)
    collector.stop()
    traffic.send_udp(left, right, 40, 200)
    daemon.call("Flush", deadlineMs=0)
    wait_until(lambda: daemon.status()["record"]["messages"] == 2, "the window in the spool")
    wait_until(lambda: daemon.status()["spool"]["waitingMessages"] == 0, "the window on the disk")
    # In the running window, which is lost with the process.
    traffic.send_udp(left, right, 7, 200)
    daemon.kill()
    with left.namespace.inside():
        collector.start()
    daemon.start()
    traffic.send_udp(left, right, 11, 200)
    assert daemon.flush(deadline_ms=20000)["pendingMessages"] == 0
    messages = check_complete(collector.messages)
    assert traffic.sums(messages)[key(left, right)].txPkts == 40 + 11
    assert any("did not shut down cleanly" in text for text in traffic.texts(messages))


@pytest.mark.parametrize("rubbish", [
    [Garbage()], [Close()], [Reset()], [Answer(500)], [Answer(503, {"Retry-After": "nonsense"})],
    [Answer(200, {"Content-Encoding": "zstd"}, b"not zstd")],
], ids=["garbage", "close", "reset", "500", "retry-after", "bad encoding"])
def test_collector_answers_garbage(wireguard, netlogd, collector_in, rubbish):
    left, right = wireguard
    collector = collector_in(left.namespace)
    collector.script(*rubbish)
    daemon = netlogd(left.namespace, sections(left, collector)).start()
    sent = traffic.send_udp(left, right, 20, 200).txPkts
    assert daemon.flush(deadline_ms=20000)["pendingMessages"] == 0
    messages = check_complete(collector.messages)
    assert traffic.sums(messages)[key(left, right)].txPkts == sent
    assert daemon.process.running and process_name(daemon.uploader()) == "netlogd-upload"


def test_stop_ends_by_its_deadline(wireguard, netlogd, collector_in):
    """A collector that is down does not delay the stop; the reply says what remains, and the next start delivers it."""
    left, right = wireguard
    collector = collector_in(left.namespace)
    daemon = netlogd(left.namespace, sections(left, collector)).start()
    collector.wait_messages(1)
    collector.stop()
    sent = traffic.send_udp(left, right, 20, 200).txPkts
    remaining = daemon.call("Stop", deadlineMs=300, timeout=3)
    assert remaining["pendingMessages"] >= 2 and remaining["pendingBytes"] > 0
    uploader = os.pidfd_open(daemon.uploader())
    daemon.stop()
    wait_readable(uploader, "end of the uploader")
    os.close(uploader)
    held = daemon.spool_messages()
    assert traffic.sums(held)[key(left, right)].txPkts == sent
    with left.namespace.inside():
        collector.start()
    daemon.start()
    assert daemon.flush(deadline_ms=20000)["pendingMessages"] == 0
    messages = check_complete(collector.messages)
    assert traffic.sums(messages)[key(left, right)].txPkts == sent
    assert [json.dumps(message) for message in held if "start" in message] == \
        [json.dumps(message) for message in messages if "virtualTraffic" in message]
