# SPDX-License-Identifier: BSD-3-Clause
"""The soak: full speed on both CPUs, connections that come and go, and a daemon about which everything changes.

It lasts NETLOGD_SOAK_SECONDS; the counts must equal what was sent throughout.
"""
import itertools
import json
import os
import signal
from datetime import datetime, timezone

import pytest

from lib.daemon import build_directory, sanitized
from lib.traffic import Counts, texts, total
from lib.wait import wait_until

SECONDS = float(os.environ.get("NETLOGD_SOAK_SECONDS", "20"))
CPUS = sorted(os.sched_getaffinity(0))[:2]
MAX_FLOWS = 1024
PACKET = 64
NOTHING = Counts(0, 0, 0, 0)

# Reconfig switches between these: each class, and a list that grows and shrinks.
ROUTES = [
    {"localAddrs": ["100.64.0.1"], "routes": ["100.64.0.0/10"], "subnetRoutes": []},
    {"localAddrs": [], "routes": [], "subnetRoutes": ["100.64.128.0/24"]},
    {"localAddrs": [], "routes": [], "subnetRoutes": []},
    {"localAddrs": ["100.64.0.1"], "routes": [f"100.64.{128 + n}.0/26" for n in range(100)], "subnetRoutes": ["10.0.0.0/8"]},
]


def blaster():
    return os.path.realpath(os.path.join(build_directory(), "tests/bench/tun_blast"))


class Device:
    """A tun device with one queue per CPU; senders on each CPU attach to it."""

    def __init__(self, network):
        self.namespace = network.namespace()
        self.interface = network.interface_name("so")
        self.namespace.ip("tuntap", "add", self.interface, "mode", "tun", "multi_queue")
        self.namespace.ip("link", "set", self.interface, "addrgenmode", "none")
        # Not the packets' destination: otherwise the kernel answers them, at an unknown rate.
        self.namespace.ip("address", "add", "100.64.0.2/10", "dev", self.interface)
        self.namespace.ip("link", "set", self.interface, "up")

    def blast(self, seconds, directions, connections=300, every=20):
        """Senders, one per direction, on the CPUs in turn: "r" sends as the VPN's daemon, "t" as the kernel."""
        return [self.namespace.start(blaster(), "-c", cpu, "-q", *(["-t"] if direction == "t" else []),
                                     *(["-n", every] if every else []), self.interface, connections, seconds, name="blast")
                for cpu, direction in zip(itertools.cycle(CPUS), directions)]


def sent(senders, directions):
    """Waits for the senders' end; returns what they sent."""
    counts = [0, 0, 0, 0]
    for sender, direction in zip(senders, directions):
        assert sender.wait(60) == 0, sender.text()
        result = json.loads(sender.text())
        first = 0 if direction == "t" else 2
        counts[first] += result["packets"]
        counts[first + 1] += result["bytes"]
    return Counts(*counts)


def nanoseconds(text):
    """RFC 3339 with up to nine decimals, as a number."""
    whole, _, fraction = text.rstrip("Z").partition(".")
    seconds = datetime.fromisoformat(whole).replace(tzinfo=timezone.utc).timestamp()
    return int(seconds) * 1000000000 + int(fraction.ljust(9, "0") or 0)


def check_messages(messages):
    """Asserts numbers without gaps, and windows that neither overlap nor run backwards."""
    numbers = [message["logtail"]["proc_seq"] for message in messages]
    assert numbers == list(range(1, len(numbers) + 1))
    assert len({message["logtail"]["proc_id"] for message in messages}) == 1
    windows = [(nanoseconds(message["start"]), nanoseconds(message["end"])) for message in messages if "start" in message]
    previous = (0, 0)
    for window in windows:
        assert window[0] <= window[1]
        assert window == previous or window[0] > previous[1], (previous, window)
        previous = window
    assert not [message["text"] for message in messages if "lost" in message.get("text", "")]
    return len(set(windows))


def check_status(status):
    for layer in "tun", "sock":
        assert status[layer].get("conservationFailures", 0) == 0
        assert status[layer].get("errors", 0) == 0
    assert status["record"]["conservationFailures"] == 0
    assert status["spool"]["lostMessages"] == status["spool"]["removedMessages"] == 0
    assert status["record"].get("ignored", {}).get("rxPkts", 0) == 0


class Trouble:
    """Sends Reconfig, SIGHUP, Status and Flush in turn, as long as packets flow."""

    def __init__(self, daemon):
        self.daemon = daemon
        self.client = daemon.client()
        self.routes = itertools.cycle(ROUTES)
        self.steps = itertools.cycle((self.reconfig, self.hangup, self.reconfig, self.status, self.flush, self.reconfig))
        self.done = 0
        self.memory = []

    def reconfig(self):
        self.client.call("Reconfig", routes=next(self.routes))

    def hangup(self):
        self.daemon.process.signal(signal.SIGHUP)

    def status(self):
        status = self.client.call("Status")["status"]
        check_status(status)
        assert status["tun"]["state"] == "counting"
        self.memory.append(status["memory"])

    def flush(self):
        self.client.call("Flush", deadlineMs=0)

    def until_ended(self, senders, also=None):
        """Calls also() now and then instead of a step."""
        def step():
            if also and self.done % 7 == 6:
                also()
            else:
                next(self.steps)()
            self.done += 1
            return not any(sender.running for sender in senders)
        wait_until(step, "the senders' end", SECONDS + 120)

    def close(self):
        self.client.close()


@pytest.fixture
def device(network):
    return Device(network)


@pytest.fixture
def daemon(device, netlogd):
    return netlogd(device.namespace, {
        "tun": {"interface": device.interface, "max-flows": MAX_FLOWS},
        "sock": {"source": "none"},
        # Some of the connections' addresses are outside the tailnet: subnet traffic if routed.
        "routes": {"mode": "static", "tailnet": "100.64.0.0/17,100.64.128.0/28"},
        "record": {"period": "100ms", "heartbeat": "1s"},
        "spool": {"max-size": "8G"},
    }).start()


def test_soak(device, daemon):
    """The messages hold what was sent, to the packet and byte, whatever happens meanwhile."""
    trouble = Trouble(daemon)
    expected = NOTHING
    # Fewer connections at a time than a window holds, then more.
    rounds = [("rr", 300), ("rt", 1500), ("rrtt", 300), ("tr", 1500)]
    repeat = 2 * max(1, round(SECONDS / 60))
    for directions, connections in rounds * repeat:
        # Both CPUs see each connection's packets: the senders use the same connections.
        senders = device.blast(SECONDS / len(rounds) / repeat, directions, connections)
        trouble.until_ended(senders)
        expected = Counts(*(a + b for a, b in zip(expected, sent(senders, directions))))
        # Nothing is in flight now: a stop and a start lose nothing.
        trouble.client.call("Stop", deadlineMs=0)
        trouble.client.call("Start")
    status = daemon.status()
    trouble.close()
    daemon.stop()
    messages = daemon.spool_messages()

    counted = total(messages, overflow=True)
    windows = check_messages(messages)
    check_status(status)
    assert counted == expected
    # It really was a soak.
    assert windows >= 4 * SECONDS and trouble.done >= 5 * SECONDS, (windows, trouble.done)
    classes = {name for message in messages for name in message if name.endswith("Traffic")}
    assert classes == {"virtualTraffic", "subnetTraffic", "exitTraffic"}
    assert any("overflow" in message for message in messages)
    if not sanitized():
        assert max(trouble.memory) < 16 << 20
        # Freshly started: idle, and the memory for loading the programs is released.
        assert status["memory"] < 8 << 20
        # Nothing grows with time: the second half repeats the rounds of the first.
        half = len(trouble.memory) // 2
        assert max(trouble.memory[half:]) < max(trouble.memory[:half]) + (4 << 20), trouble.memory


def test_stops_and_replacements_in_full_traffic(device, daemon):
    """Packets while stopped are not counted; all others are, once: totals and entries agree, windows do not overlap.

    A reload that changes max-flows replaces the device.
    """
    trouble = Trouble(daemon)
    stops = 0
    sizes = itertools.cycle((MAX_FLOWS // 2, MAX_FLOWS))

    def stop_and_start():
        trouble.client.call("Stop", deadlineMs=0)
        status = trouble.client.call("Status")["status"]
        check_status(status)
        assert status["tun"]["state"] == "stopped"
        trouble.client.call("Start")
        daemon.configure({"tun": {"max-flows": next(sizes)}})
        trouble.client.call("Reload")
        assert trouble.client.call("Status")["status"]["tun"]["maxFlows"] == int(daemon.sections["tun"]["max-flows"])
        nonlocal stops
        stops += 1

    directions = "rt"
    # A stop and a replacement take two seconds on a busy machine.
    senders = device.blast(min(SECONDS, 20) / 2, directions)
    trouble.until_ended(senders, also=stop_and_start)
    all_sent = sent(senders, directions)
    trouble.close()
    daemon.stop()
    messages = daemon.spool_messages()
    check_messages(messages)
    counted = total(messages, overflow=True)
    assert stops >= 3
    assert any("device changed" in text for text in texts(messages))
    assert 0 < counted.rxPkts <= all_sent.rxPkts and 0 < counted.txPkts <= all_sent.txPkts
    assert counted.rxBytes == PACKET * counted.rxPkts and counted.txBytes == PACKET * counted.txPkts


def test_replacements_in_full_traffic_lose_nothing(device, daemon):
    """Every reload replaces the tun device; each packet is in exactly one window of one of them."""
    sizes = itertools.cycle((MAX_FLOWS // 2, MAX_FLOWS))
    trouble = Trouble(daemon)
    exchanges = 0

    def exchange():
        daemon.configure({"tun": {"max-flows": next(sizes)}})
        trouble.client.call("Reload")
        nonlocal exchanges
        exchanges += 1

    directions = "rt"
    senders = device.blast(min(SECONDS, 20) / 4, directions)
    trouble.until_ended(senders, also=exchange)
    expected = sent(senders, directions)
    daemon.flush()
    trouble.close()
    daemon.stop()
    messages = daemon.spool_messages()
    check_messages(messages)
    assert exchanges >= 3
    assert sum("device changed: tun" in text for text in texts(messages)) == exchanges
    assert total(messages, overflow=True) == expected


def test_a_scan_is_bounded(device, netlogd):
    """Each packet a new connection, as fast as both CPUs can: memory is bounded, and what does not fit is overflow."""
    daemon = netlogd(device.namespace, {"tun": {"interface": device.interface}, "sock": {"source": "none"},
                                        "record": {"period": "500ms"}, "spool": {"max-size": "4G"}}).start()
    before = daemon.status()
    directions = "rr"
    senders = device.blast(4, directions, connections="scan", every=0)
    seen = []

    def look():
        seen.append(daemon.status())
        return not any(sender.running for sender in senders)
    wait_until(look, "the senders' end", 120)
    expected = sent(senders, directions)
    daemon.flush()
    status = daemon.status()
    daemon.stop()
    messages = daemon.spool_messages()
    check_messages(messages)
    check_status(status)
    assert total(messages, overflow=True) == expected
    per_window = {}
    for message in messages:
        if "start" in message:
            per_window.setdefault(message["start"], []).append(len(message.get("virtualTraffic", [])))
    assert max(sum(entries) for entries in per_window.values()) <= before["tun"]["maxFlows"]
    # The kernel's maps keep their size; the daemon holds one window and the queue for the disk.
    assert {entry["tun"]["memory"] for entry in seen} == {before["tun"]["memory"]}
    assert expected.rxPkts > before["tun"]["maxFlows"]
    if not sanitized():
        assert max(entry["memory"] for entry in seen) < 64 << 20
