"""The source `wireguard` without the underlay: the tunnel's own byte counters, peer by peer."""
import base64
import contextlib
import os
import stat

import pytest

from lib.network import WIREGUARD_SOCKETS, Tunnel
from lib.probe import Probe, quiet_start, quiet_window
from lib.process import run
from lib.traffic import send_udp


@pytest.fixture
def probe():
    with contextlib.ExitStack() as stack:
        def make(end, **options):
            made = Probe(end.namespace, "wireguard", end.interface, "none", **options)
            stack.callback(made.close)
            return made
        yield make


def test_bytes_are_the_tunnels_own(wireguard, probe):
    left, right = wireguard
    device = probe(left)
    assert device.made == {"result": 0, "reason": None}
    send_udp(left, right, 10, 1000)
    assert device.enable() == 0
    start = quiet_start(device, left)
    send_udp(left, right, 100, 1000, back=50, port_left=40002, port_right=40003)
    window, (rx, tx) = quiet_window(device, left, start)
    assert tx >= 100 * 1072 and rx >= 50 * 1072
    # What was sent before it was enabled isn't there; there are no packets, and no totals to compare with.
    assert window.entries == {("100.64.0.2:0", "192.0.2.2:51821"): (0, tx, 0, rx)}
    assert window.totals == (0, 0, 0, 0)
    assert window.errors == 0
    assert device.ask("allowed") == ["100.64.0.2/32"]
    assert device.ask("info")["attachment"] == f"{WIREGUARD_SOCKETS}/{left.interface}.sock"


def test_wireguard_gos_socket_is_left_as_it_is(wireguard, probe):
    """A change of its mode or group shuts wireguard-go down."""
    left, right = wireguard
    path = f"{WIREGUARD_SOCKETS}/{left.interface}.sock"
    before = os.stat(path)
    device = probe(left)
    device.enable()
    for _ in range(50):
        device.window()
    after = os.stat(path)
    assert (after.st_mode, after.st_uid, after.st_gid, after.st_ctime_ns) == (
        before.st_mode, before.st_uid, before.st_gid, before.st_ctime_ns)
    assert stat.S_IMODE(after.st_mode) == 0o700
    assert left.process.running
    send_udp(left, right, 5, 100)


def test_a_peer_that_moves_and_one_that_is_made_anew(wireguard, probe):
    left, right = wireguard
    device = probe(left)
    device.enable()
    device.ask("events")
    right.namespace.run("wg", "set", right.interface, "listen-port", "51999")
    start = quiet_start(device, left)
    send_udp(right, left, 10, 500, back=10)
    window, (rx, tx) = quiet_window(device, left, start)
    assert window.entries == {("100.64.0.2:0", "192.0.2.2:51999"): (0, tx, 0, rx)}
    assert device.ask("events") == ["peer 100.64.0.2 moved from 192.0.2.2:51821 to 192.0.2.2:51999"]
    # Removed and made again, with counters from zero: what it counts is from zero too, and never negative.
    left.namespace.run("wg", "set", left.interface, "peer", right.public_key, "remove")
    left.namespace.run("wg", "set", left.interface, "peer", right.public_key, "endpoint", "192.0.2.2:51999",
                       "allowed-ips", "100.64.0.2/32,10.9.0.0/16")
    send_udp(left, right, 10, 500, back=10, port_left=40002, port_right=40003)
    window, (rx, tx) = quiet_window(device, left, (0, 0))
    assert window.entries == {("100.64.0.2:0", "192.0.2.2:51999"): (0, tx, 0, rx)}
    assert sorted(device.ask("allowed")) == ["10.9.0.0/16", "100.64.0.2/32"]


def test_a_peer_becomes_active(network, probe):
    ends = network.wireguard_pair()
    device = probe(ends[0])
    device.enable()
    device.window()
    assert device.ask("events") == []
    network.handshake(ends)
    device.window()
    assert device.ask("events") == ["peer 100.64.0.2 is active at 192.0.2.2:51821"]


def test_an_interface_that_goes_and_one_that_never_was(wireguard, probe):
    left, _ = wireguard
    device = probe(left)
    device.enable()
    left.process.terminate()
    window = device.window()
    assert window.results == [-19]
    assert window.errors == 1
    assert window.entries == {}
    gone = probe(left)
    assert gone.made["result"] == -19
    assert "no WireGuard interface of this name" in gone.made["reason"]


def test_ten_thousand_peers(network, probe):
    """All are read well within the second that a reading may take, and a window costs little."""
    namespace = network.namespace()
    process, interface = network.wireguard_go(namespace)
    lines = ["[Interface]", "PrivateKey = " + run(["wg", "genkey"]).stdout.strip()]
    for number in range(10000):
        key = public_key(number)
        lines += ["[Peer]", f"PublicKey = {key}", f"AllowedIPs = 100.{64 + number // 65536}.{number // 256 % 256}.{number % 256}/32",
                  f"Endpoint = 192.0.2.{number % 250 + 1}:{1024 + number}"]
    namespace.run("wg", "setconf", interface, "/dev/stdin", stdin="\n".join(lines) + "\n")

    device = probe(Tunnel(namespace, interface, None))
    assert device.made["result"] == 0
    assert device.enable() == 0
    assert len(device.ask("allowed")) == 10000
    extraction = device.ask("extract")
    assert extraction["result"] == 0
    assert extraction["flows"] == []
    assert extraction["cpuSeconds"] < 1
    assert process.running


def public_key(number):
    """A public key that nobody has the private one of."""
    return base64.b64encode(b"netlogd-test-key" + number.to_bytes(16, "big")).decode()
