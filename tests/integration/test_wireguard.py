# SPDX-License-Identifier: BSD-3-Clause
"""The source `wireguard` without the underlay: the tunnel's own byte counters per peer."""
import base64
import contextlib
import errno
import os
import pathlib
import signal
import socket
import stat

import pytest

from lib.broker import Broker
from lib.network import WIREGUARD_SOCKETS, Tunnel
from lib.probe import Probe, quiet_start, quiet_window
from lib.process import run
from lib.traffic import send_udp
from lib.tun import Tun
from lib.wait import wait_until


@pytest.fixture
def probe():
    with contextlib.ExitStack() as stack:
        def make(end, **options):
            made = Probe(end.namespace, "wireguard", end.interface, "none", **options)
            stack.callback(made.close)
            return made
        yield make


@pytest.fixture
def broker(directory):
    broker = Broker(directory / "broker.sock")
    try:
        yield broker
    finally:
        broker.close()


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
    # Nothing from before it was enabled; no packets, and no totals to compare with.
    assert window.entries == {("100.64.0.2:0", "192.0.2.2:51821"): (0, tx, 0, rx)}
    assert window.totals == (0, 0, 0, 0)
    assert window.errors == 0
    assert device.ask("allowed") == ["100.64.0.2/32"]
    assert device.ask("info")["attachment"] == f"{WIREGUARD_SOCKETS}/{left.interface}.sock"


def test_wireguard_gos_socket_is_left_as_it_is(wireguard, probe):
    """wireguard-go shuts down if the mode or group of its socket changes."""
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


@pytest.mark.parametrize("underlay", ["none", "auto"])
def test_a_daemon_that_is_not_root(wireguard, broker, underlay):
    """Only root may use wireguard-go's socket: with the unit's capabilities the broker does, with the same result."""
    left, right = wireguard
    with contextlib.closing(Probe(left.namespace, "wireguard", left.interface, underlay, broker=broker.path)) as device:
        assert device.made == {"result": 0, "reason": None}
        assert device.enable() == 0
        start = quiet_start(device, left)
        send_udp(left, right, 50, 1000, back=20)
        window, (rx, tx) = quiet_window(device, left, start)
        counts = window.entries["100.64.0.2:0", "192.0.2.2:51821"]
        assert (counts.txBytes, counts.rxBytes) == (tx, rx)
        assert (counts.txPkts >= 50) == (underlay == "auto")
        path = f"{WIREGUARD_SOCKETS}/{left.interface}.sock"
        assert underlay == "auto" or device.ask("info")["attachment"] == f"{path} by the broker"
        assert device.ask("allowed") == ["100.64.0.2/32"]
        # One connection serves all readings; when it ends, another replaces it.
        assert broker.end_connections() == 1
        window = device.window()
        assert window.results == [0] and window.errors == 0
        left.process.terminate()
        assert device.window().results == [-19]


def test_without_a_broker(wireguard, directory):
    left, _ = wireguard
    device = Probe(left.namespace, "wireguard", left.interface, "none", broker=directory / "nothing.sock")
    with contextlib.closing(device):
        assert device.made["result"] == -13
        assert "netlogd-wg-broker.socket" in device.made["reason"]


def test_the_broker_reveals_no_secret(wireguard, broker):
    left, right = wireguard
    secret = left.namespace.run("wg", "genpsk").stdout
    left.namespace.run("wg", "set", left.interface, "peer", right.public_key, "preshared-key", "/dev/stdin", stdin=secret)
    key = left.namespace.run("wg", "show", left.interface, "private-key").stdout

    def ask(path, request):
        with socket.socket(socket.AF_UNIX) as sock:
            sock.settimeout(20)
            sock.connect(str(path))
            sock.sendall(request)
            answer = b""
            while not answer.endswith(b"\n\n"):
                received = sock.recv(65536)
                if not received:
                    break
                answer += received
            return answer.decode()

    def lines(text):
        return [line for line in text.splitlines() if line.partition("=")[0] not in
                ("private_key", "preshared_key", "protocol_version", "persistent_keepalive_interval")]

    whole = ask(f"{WIREGUARD_SOCKETS}/{left.interface}.sock", b"get=1\n\n")
    told = ask(broker.path, f"interface={left.interface}\nget=1\n\n".encode())
    for text in secret, key:
        assert base64.b64decode(text).hex() in whole
        assert base64.b64decode(text).hex() not in told
    assert told.splitlines() == lines(whole)
    # It accepts no other requests, and no names that are not interfaces.
    for request in (b"set=1\n\n", b"get=1\n\n", b"interface=x\nset=1\nlisten_port=1\n\n", b"interface=../x\nget=1\n\n",
                    b"interface=\nget=1\n\n", b"x" * 63):
        assert ask(broker.path, request) == ""
    assert ask(broker.path, b"interface=none-such\nget=1\n\n") == "errno=19\n\n"


@pytest.mark.parametrize("by_broker", [False, True])
def test_a_tunnel_that_hangs(wireguard, broker, by_broker):
    """A reading takes at most a second, through the broker too; the known routes stay known."""
    left, _ = wireguard

    def stopped():
        return all(task.read_text().rpartition(")")[2].split()[0] == "T"
                   for task in pathlib.Path(f"/proc/{left.process.pid}/task").glob("*/stat"))

    device = Probe(left.namespace, "wireguard", left.interface, "none", broker=broker.path if by_broker else None)
    with contextlib.closing(device):
        assert device.enable() == 0
        left.process.signal(signal.SIGSTOP)
        try:
            wait_until(stopped, "wireguard-go stopped")
            window = device.window()
            assert window.results == [-110] and window.errors == 1
            assert device.ask("allowed") == ["100.64.0.2/32"]
        finally:
            left.process.signal(signal.SIGCONT)
        window = device.window()
        assert window.results == [0] and window.errors == 0


def test_a_peer_that_moves_and_one_that_is_recreated(wireguard, probe):
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
    # Removed and added again, its counters restart from zero: its counts do too, and are never negative.
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
    assert "no WireGuard interface with this name" in gone.made["reason"]


def test_ten_thousand_peers(network, probe):
    """All are read well within the second that a reading may take, and a window is cheap."""
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
    """A public key without a private one."""
    return base64.b64encode(b"netlogd-test-key" + number.to_bytes(16, "big")).decode()


@pytest.mark.parametrize("background", [False, True])
@pytest.mark.parametrize("by_broker", [False, True])
def test_a_tunnel_of_the_same_name_elsewhere(network, broker, background, by_broker):
    """All network namespaces share the folder of the sockets: the one of our name may be a container's."""
    here, there = network.namespace(), network.namespace()
    if background:
        # The process that listened has ended: it went on as another one.
        interface = network.interface_name("wg")
        there.run("wireguard-go", interface)
        network.stack.callback(run, ["ip", "-n", there.name, "link", "del", interface], check=False)
        wait_until(lambda: os.path.exists(f"{WIREGUARD_SOCKETS}/{interface}.sock"), "its socket")
    else:
        _, interface = network.wireguard_go(there)
    there.run("wg", "set", interface, "peer", public_key(1), "allowed-ips", "100.64.0.9/32")
    Tun(network, here, interface=interface)
    path = broker.path if by_broker else None
    with contextlib.closing(Probe(here, "wireguard", interface, "none", broker=path)) as device:
        assert device.made["result"] == -errno.EXDEV
        assert "belongs to an interface of another network namespace" in device.made["reason"]
    with contextlib.closing(Probe(there, "wireguard", interface, "none", broker=path)) as device:
        assert device.made == {"result": 0, "reason": None}
        assert device.enable() == 0
        assert device.ask("allowed") == ["100.64.0.9/32"]


def test_a_foreign_tunnels_peers_are_not_ours(network, netlogd):
    """Neither its peers nor their networks; and status says why."""
    here, there = network.namespace(), network.namespace()
    _, interface = network.wireguard_go(there)
    there.run("wg", "set", interface, "peer", public_key(1), "allowed-ips", "10.99.0.0/16")
    Tun(network, here, interface=interface)
    daemon = netlogd(here, {"tun": {"interface": interface}, "record": {"period": "1h"}}).start()
    daemon.flush(0)
    status = daemon.status()
    assert status["sock"]["source"] == "none"
    assert "belongs to an interface of another network namespace" in status["sock"]["reason"]
    assert "10.99.0.0" not in daemon.ctl("--json", "routes", "show").stdout


def test_an_interface_without_a_socket_of_its_own(network, wireguard, probe):
    """Its tunnel's process is elsewhere, and so was the interface when it was made: it is still its own."""
    left, _ = wireguard
    inner = network.namespace()
    left.namespace.ip("link", "set", left.interface, "netns", inner.name)
    left.namespace = inner
    device = probe(left)
    assert device.made == {"result": 0, "reason": None}
