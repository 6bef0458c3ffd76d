# SPDX-License-Identifier: BSD-3-Clause
"""netlogctl peers and GetPeers over real tunnels: where each peer is, whether it is silent, what it has moved."""
import os
import pty
import re
import subprocess
import termios
import time

import pytest

from lib import traffic
from lib.daemon import program
from lib.fake_tunnel import FakeTunnel, peer
from lib.process import dies_with_us

SECOND = 10**9
FIRST, MOVED = "192.0.2.2:51821", "192.0.2.2:51999"


@pytest.fixture
def tunnel(network, netlogd, clock):
    """A daemon on the left end of a tunnel that had no handshake yet. The test ends its windows."""
    left, right = network.wireguard_pair()
    daemon = netlogd(left.namespace, {"tun": {"interface": left.interface}, "record": {"period": "1h", "heartbeat": "0"}})
    return daemon.start(env={**clock.env, "TZ": "UTC"}), left, right


def peers(daemon):
    with daemon.client() as client:
        return [peer for part in client.stream("GetPeers") for peer in part["peers"]]


def lines(daemon, *arguments):
    """What is said of one peer: {name: text}."""
    out = daemon.ctl("peers", *arguments, env={"TZ": "UTC"}).stdout
    return dict(re.split(r"  +", line.strip(), maxsplit=1) for line in out.splitlines()[1:])


def test_a_peer_that_roams(tunnel, network):
    daemon, left, right = tunnel
    (peer,) = peers(daemon)
    assert peer["nodeId"] == peer["publicKey"] == right.public_key
    assert (peer["endpoint"], peer["active"]) == (FIRST, False)
    # Nobody knows yet whether it is reached there.
    assert not {"path", "lastSeen", "lastHandshake", "movedAt"} & set(peer)
    assert re.search(rf"^{re.escape(right.public_key[:8])}  {FIRST}  never seen  never  never ",
                     daemon.ctl("peers").stdout, re.M)
    network.handshake((left, right))
    before = time.time_ns()
    daemon.flush()
    (peer,) = peers(daemon)
    assert (peer["path"], peer["active"]) == ("direct", True)
    assert before - SECOND < traffic.nanoseconds(peer["lastSeen"]) <= time.time_ns()
    assert "movedAt" not in peer
    right.namespace.run("wg", "set", right.interface, "listen-port", "51999")
    traffic.send_udp(right, left, 3, 100)
    daemon.flush()
    (peer,) = peers(daemon)
    assert (peer["path"], peer["endpoint"]) == ("direct", MOVED)
    assert (peer["fromPath"], peer["fromEndpoint"]) == ("direct", FIRST)
    assert before < traffic.nanoseconds(peer["movedAt"]) <= time.time_ns()
    told = lines(daemon, "100.64.0.2")
    assert told["path"] == f"direct, {MOVED}"
    assert re.fullmatch(rf"\d\d:\d\d, from direct, {re.escape(FIRST)}", told["moved"])
    assert told["state"] == "active"
    assert told["public key"] == right.public_key
    daemon.stop()


def test_rates_and_bytes_of_today(tunnel, network):
    """They are the tunnel's own, to the byte, and outlive the device."""
    daemon, left, right = tunnel
    network.handshake((left, right))
    daemon.flush()
    first = left.namespace.run("wg", "show", left.interface, "transfer").stdout.split()
    traffic.send_udp(left, right, 50, 1000, back=20)
    daemon.flush()
    (peer,) = peers(daemon)
    assert (peer["txBytesToday"], peer["rxBytesToday"]) == (peer["txBytes"], peer["rxBytes"])
    moved = peer["txBytes"] - int(first[2]), peer["rxBytes"] - int(first[1])
    assert moved[0] >= 50 * 1072 and moved[1] >= 20 * 1072
    assert 0 < peer["txRate"] <= moved[0] * 1000 and peer["txRate"] / peer["rxRate"] == pytest.approx(moved[0] / moved[1], rel=0.1)
    # A window in which nothing moves (no keepalive, that is) has no rate, and the sums stay.
    daemon.flush()
    (again,) = peers(daemon)
    assert (again["txRate"] == 0) == (again["txBytesToday"] == peer["txBytesToday"])
    daemon.call("Stop")
    assert peers(daemon) == []
    daemon.call("Start")
    daemon.flush()
    (again,) = peers(daemon)
    assert again["txBytesToday"] == again["txBytes"] >= peer["txBytes"]
    assert again["todaySince"] == peer["todaySince"]
    # A daemon that starts again counts from there, and says so.
    daemon.stop()
    daemon.start(env={"TZ": "UTC"})
    daemon.flush()
    (again,) = peers(daemon)
    assert again["txBytesToday"] < 1000 < again["txBytes"]
    assert peer["todaySince"] < again["todaySince"]
    out = daemon.ctl("peers", env={"TZ": "UTC"}).stdout
    assert re.search(rf"^Bytes of today: since {again['todaySince'][11:16]}, when netlogd began to see them$", out, re.M), out
    daemon.stop()


def test_a_tunnel_that_is_made_again(network, netlogd):
    """Its peers are known again by their keys, and new counters go on. The daemon saw it begin: all of them are new."""
    namespace = network.namespace()
    tunnel = FakeTunnel(network, namespace, [peer("192.0.2.9:51820")])
    daemon = netlogd(namespace, {"tun": {"source": "none"}, "sock": {"source": "wireguard", "interface": tunnel.interface},
                                 "record": {"period": "1h"}})
    tunnel.peers[0].update(tx_bytes=1000, rx_bytes=500)
    daemon.start()
    tunnel.peers[0].update(tx_bytes=1010, rx_bytes=520)
    daemon.flush()
    (before,) = peers(daemon)
    assert (before["txBytesToday"], before["rxBytesToday"]) == (10, 20)
    tunnel.end()
    for _ in range(3):
        daemon.flush()
    assert daemon.status()["sock"]["state"] == "lost" and peers(daemon) == []
    tunnel.peers[:] = [{**peer("192.0.2.9:51821"), "tx_bytes": 7, "rx_bytes": 8}, {**peer("192.0.2.8:51820"), "tx_bytes": 50, "rx_bytes": 60}]
    tunnel.begin()
    daemon.flush()
    assert daemon.status()["sock"]["state"] == "counting"
    for each in tunnel.peers:
        each["tx_bytes"] += 3
    daemon.flush()
    known, new = sorted(peers(daemon), key=lambda each: each["addresses"])
    daemon.stop()
    assert (known["txBytesToday"], known["rxBytesToday"], known["todaySince"]) == (10 + 7 + 3, 20 + 8, before["todaySince"])
    assert known["fromEndpoint"] == "192.0.2.9:51820"
    assert (new["txBytesToday"], new["rxBytesToday"]) == (50 + 3, 60)
    assert "fromEndpoint" not in new


def test_silence_and_order(tunnel, network, clock):
    """A peer that has spoken before one that never did; after three minutes without a sign it is silent."""
    daemon, left, right = tunnel
    left.namespace.run("wg", "set", left.interface, "peer", "A" * 42 + "E=", "allowed-ips", "100.64.0.9/32")
    network.handshake((left, right))
    daemon.flush()
    assert {peer["addresses"][0]: peer["active"] for peer in peers(daemon)} == {"100.64.0.9": False, "100.64.0.2": True}
    rows = [line.split()[0] for line in daemon.ctl("peers").stdout.splitlines()[1:3]]
    assert rows == [right.public_key[:8], "AAAAAAAA"]
    rows = [line.split()[0] for line in daemon.ctl("peers", "--sort", "name").stdout.splitlines()[1:3]]
    assert rows == sorted(rows, key=str.lower)
    seen = next(peer["lastSeen"] for peer in peers(daemon) if peer["active"])
    clock.suspend(181 * SECOND)
    daemon.flush()
    silent = next(peer for peer in peers(daemon) if peer["addresses"] == ["100.64.0.2"])
    assert (silent["active"], silent["lastSeen"]) == (False, seen)
    assert lines(daemon, right.public_key)["state"] == f"silent since {seen[11:16]}"
    unknown = daemon.ctl("peers", "gate", check=False)
    assert (unknown.returncode, unknown.stdout) == (1, "")
    assert unknown.stderr == 'netlogctl: none of the tunnel\'s 2 peers is "gate" ("netlogctl peers" shows them)\n'
    daemon.stop()


def test_more_peers_than_are_remembered(network, netlogd):
    """As many as a tunnel may have, and then others: those of the reading before still have their places."""
    namespace = network.namespace()
    tunnel = FakeTunnel(network, namespace, [peer("192.0.2.9:51820") for _ in range(65536)])
    daemon = netlogd(namespace, {"tun": {"source": "none"}, "sock": {"source": "wireguard", "interface": tunnel.interface},
                                 "record": {"period": "1h"}}).start()
    assert "peersForgotten" not in daemon.status()["sock"]
    for place in range(4):
        tunnel.peers[place]["number"] = 65537 + place
    daemon.flush()
    assert daemon.status()["sock"]["peersForgotten"] == 4
    found = peers(daemon)
    assert (len(found), len([each for each in found if "todaySince" in each])) == (65536, 65532)
    daemon.flush()
    assert "peersForgotten" not in daemon.status()["sock"]
    daemon.stop()


def on_terminal(daemon, columns):
    """The lines of `peers` on a terminal of that width."""
    ours, theirs = pty.openpty()
    termios.tcsetwinsize(theirs, (24, columns))
    command = dies_with_us([program("netlogctl"), "--socket", str(daemon.control_socket), "peers"])
    with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=theirs, env={**os.environ, "NO_COLOR": "1", "LC_ALL": "C.UTF-8"}):
        os.close(theirs)
        text = b""
        while True:
            try:
                part = os.read(ours, 4096)
            except OSError:
                break
            if not part:
                break
            text += part
    os.close(ours)
    return text.decode().splitlines()


def test_it_fits_the_terminal(tunnel, network):
    daemon, left, right = tunnel
    network.handshake((left, right))
    daemon.call("SetNodes", nodes=[{"nodeId": "n2", "name": "a-gateway-with-a-long-name.example.net", "addresses": ["100.64.0.2"]}])
    daemon.flush()
    wide = on_terminal(daemon, 300)
    assert wide[0].split()[-1] == "ADDRESSES" and wide[1].endswith("100.64.0.2")
    assert wide[1].startswith("a-gateway-with-a-long-name.example.net  direct  192.0.2.2:51821  active")
    for columns in range(30, 200, 7):
        shown = on_terminal(daemon, columns)
        assert max(map(len, shown)) <= columns, (columns, shown)
        assert "direct" in shown[1]
        assert any("Bytes of today" in line for line in shown) == ("SENT TODAY" in shown[0]), (columns, shown)
    assert on_terminal(daemon, 40)[:2] == [f"{'PEER':34}PATH", "a-gateway-with-a…ame.example.net  direct"]
    daemon.stop()
