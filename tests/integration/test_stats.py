# SPDX-License-Identifier: BSD-3-Clause
"""The source `stats`: a VPN that counts for itself, well behaved and misbehaving in every way."""
import contextlib
import json
import time

import pytest

from lib.daemon import sanitized
from lib.probe import Probe
from lib.process import peak_memory
from lib.wait import wait_until
from stats_provider import StatsProvider, connection

ONE = ("100.64.0.1:1024", "100.64.1.2:53")


@pytest.fixture
def provider(directory):
    with contextlib.ExitStack() as stack:
        def make(**options):
            made = StatsProvider(directory / "stats.sock", **options)
            stack.callback(close, made)
            return made
        yield make


def close(provider):
    """A test may have ended it already."""
    with contextlib.suppress(OSError):
        provider.close()


@pytest.fixture
def probe(network, directory):
    namespace = network.namespace()
    with contextlib.ExitStack() as stack:
        def make(**options):
            made = Probe(namespace, "stats", str(directory / "stats.sock"), **options)
            stack.callback(made.close)
            return made
        yield make


def test_counts_are_handed_over_once(provider, probe):
    vpn = provider()
    device = probe()
    assert device.made["result"] == 0
    assert device.enable() == 0
    assert vpn.enabled is True
    vpn.count([connection(0, 3), {"proto": 0, "src": "", "dst": "192.0.2.1:5", "rxPkts": 1, "rxBytes": 9}])
    window = device.window()
    assert window.entries == {ONE: (3, 300, 0, 0), ("", "192.0.2.1:5"): (0, 0, 1, 9)}
    assert device.window().entries == {}
    vpn.count([connection(0)])
    assert device.ask("disable") == 0
    assert vpn.enabled is False
    assert device.window().entries == {ONE: (1, 100, 0, 0)}
    # Setting the current state changes nothing.
    calls = len(vpn.calls)
    assert device.ask("disable") == 0
    assert len(vpn.calls) == calls


def test_large_replies_come_in_parts(provider, probe):
    vpn = provider(part=1000)
    device = probe()
    device.enable()
    vpn.count([connection(number) for number in range(50000)])
    window = device.window()
    assert len(window.entries) == 50000
    assert window.sum == (50000, 5000000, 0, 0)


def test_beyond_the_bound_is_overflow(provider, probe):
    vpn = provider(part=100)
    device = probe(max_flows=250)
    device.enable()
    vpn.count([connection(number) for number in range(1000)])
    window = device.window()
    assert len(window.entries) == 250
    assert window.overflow == (750, 75000, 0, 0)
    assert window.totals == (1000, 100000, 0, 0)
    assert window.errors == 0


@pytest.mark.parametrize("how", ["hang", "die", "half", "garbage", "nonsense", "error", "endless"])
def test_misbehaviour_costs_one_window_and_an_error(provider, probe, how):
    vpn = provider(part=2)
    device = probe()
    device.enable()
    vpn.misbehave = how
    vpn.count([connection(number) for number in range(5)])
    begin = time.monotonic()
    window = device.window()
    assert time.monotonic() - begin < 3
    assert window.errors == 1
    assert window.results[0] < 0
    assert window.entries == {}
    vpn.misbehave = None
    vpn.enabled = None
    vpn.count([connection(0)])
    window = device.window()
    assert window.errors == 0
    assert window.entries == {ONE: (1, 100, 0, 0)}
    # Counting was enabled on the new connection.
    assert vpn.enabled is True


def test_a_vpn_that_comes_back(provider, probe):
    vpn = provider()
    device = probe()
    device.enable()
    vpn.close()
    window = device.window()
    assert window.errors == 1
    again = provider()
    again.count([connection(0)])
    window = device.window()
    assert window.errors == 0
    assert again.enabled is True
    assert window.entries == {ONE: (1, 100, 0, 0)}


def test_not_there_yet(probe):
    device = probe()
    assert device.made["result"] == -19
    assert "nothing is listening" in device.made["reason"]


def test_enabling_one_that_hangs(provider, probe):
    vpn = provider()
    vpn.misbehave = "hang-enable"
    device = probe()
    assert device.made["result"] == 0
    begin = time.monotonic()
    assert device.ask("enable") == -110
    assert time.monotonic() - begin < 3
    vpn.misbehave = None
    assert device.ask("enable") == 0
    assert vpn.enabled is True


def test_enabling_one_that_answers_too_much(provider, probe):
    vpn = provider()
    vpn.misbehave = "giant-enable"
    device = probe()
    assert device.ask("enable") == -90
    vpn.misbehave = None
    assert device.ask("enable") == 0
    assert vpn.enabled is True


def test_one_large_reply(provider, probe):
    """Far more than the bound, in one part: read to the end, and all of it is counted."""
    number = 300000
    reply = json.dumps({"parameters": {"connections": [connection(i) for i in range(number)]}}).encode() + b"\0"
    vpn = provider()
    device = probe(max_flows=1000)
    device.enable()
    vpn.misbehave = lambda client: client.sendall(reply)
    window = device.window()
    assert window.errors == 0
    assert window.totals == (number, 100 * number, 0, 0)
    assert len(window.entries) == 1000
    assert window.overflow == (number - 1000, 100 * (number - 1000), 0, 0)


MIB = 1 << 20
ENTRY = json.dumps(connection(0)).encode()
HOSTILE = {
    "members": (b'{"parameters":{"connections":[],"x":[{}', b",{}", 48 * MIB, b"]}}\0"),
    "nested": (b'{"parameters":{"connections":[],"x":', b"[", 48 * MIB, b"\0"),
    "lists in an entry": (b'{"parameters":{"connections":[{"x":[[]', b",[]", 48 * MIB, b"]}]}}\0"),
    "one text": (b'{"parameters":{"connections":[{"src":"', b"x", 48 * MIB, b'"}]}}\0'),
    "one name again": (b'{"parameters":{"connections":[{"a":1', b',"a":1', 48 * MIB, b"}]}}\0"),
    "entries of much else": (b'{"parameters":{"connections":[' + ENTRY,
                             b"," + ENTRY[:-1] + b',"x":[{}' + b",{}" * 20000 + b"]}", 48 * MIB, b"]]}}\0"),
    "a list without end": (b'{"parameters":{"connections":[' + ENTRY, b"," + ENTRY, 1024 * MIB, b""),
    "parts without end": (b"", b'{"parameters":{"connections":[' + b",".join([ENTRY] * 1000) + b']},"continues":true}\0',
                          1024 * MIB, b""),
    "only blanks": (b"", b" ", 1024 * MIB, b""),
}


def flood(kind, seen):
    begin, again, size, end = HOSTILE[kind]
    piece = again * max(MIB // len(again), 1)

    def send(client):
        seen.append(kind)
        client.sendall(begin)
        for _ in range(size // len(piece)):
            client.sendall(piece)
        client.sendall(end)
    return send


def test_whatever_comes_memory_is_bounded(network, netlogd, provider):
    """A hostile VPN behind the real daemon: each answer costs an error, windows continue, and memory stays small."""
    vpn = provider()
    daemon = netlogd(network.namespace(), {
        "tun": {"source": "stats", "stats-socket": vpn.path}, "sock": {"source": "none"},
        "routes": {"mode": "static", "local-addr": "100.64.0.1", "route": "100.64.0.0/10"}})
    daemon.start()
    vpn.count([connection(i) for i in range(1000)])
    packets = wait_until(lambda: daemon.status()["tun"]["totals"]["txPkts"], "counts")
    assert packets == 1000
    before = peak_memory(daemon.process.pid)
    for kind in HOSTILE:
        errors, seen = daemon.status()["tun"]["errors"], []
        vpn.misbehave = flood(kind, seen)
        wait_until(lambda: daemon.status()["tun"]["errors"] > errors, f"an error for {kind}", 60)
        vpn.misbehave = None
        assert seen, kind
        vpn.count([connection(i) for i in range(10)])
        packets += 10
        wait_until(lambda: daemon.status()["tun"]["totals"]["txPkts"] >= packets, f"counts after {kind}", 60)
        assert daemon.status()["tun"]["totals"]["txPkts"] == packets, kind
        if not sanitized():
            assert peak_memory(daemon.process.pid) - before < 64, kind
    daemon.stop()
