# SPDX-License-Identifier: BSD-3-Clause
"""Peers whose datagrams the underlay does not show: decided for each of them, by the tunnel's own counters."""
import contextlib
import fcntl
import os
import select
import socket
import struct
import threading
import time

import pytest

from lib.fake_tunnel import FakeTunnel, peer
from lib.network import Tunnel
from lib.probe import ZERO, Probe, Window, add, quiet_start, quiet_window, tunnel_counters
from lib.process import run
from lib.traffic import send_udp, total, udp_socket
from lib.tun import IFF_NO_PI, IFF_TUN, TUNSETIFF, Tun
from lib.wait import wait_until

TUNSETLINK = 0x400454CD
HUB = "192.0.2.1"


@pytest.fixture
def probe():
    with contextlib.ExitStack() as stack:
        def make(end, *underlay, **options):
            made = Probe(end.namespace, "wireguard", end.interface, *(underlay or ("auto",)), **options)
            stack.callback(made.close)
            assert made.made == {"result": 0, "reason": None}
            assert made.enable() == 0
            return made
        yield make


def nft(namespace, *rules):
    chains = {"dstnat": "prerouting", "srcnat": "postrouting"}
    namespace.run("nft", "add table ip nat")
    for priority, rule in rules:
        chain = chains[priority]
        namespace.run("nft", f"add chain ip nat {chain} {{ type nat hook {chain} priority {priority}; }}")
        namespace.run("nft", f"add rule ip nat {chain} {rule}")


def transfers(end):
    """{public key: (rx, tx)} by the tunnel's own counters."""
    rows = [line.split() for line in end.namespace.run("wg", "show", end.interface, "transfer").stdout.splitlines()]
    return {key: (int(rx), int(tx)) for key, rx, tx in rows}


def of_peer(window, address):
    """(rx, tx) bytes and the number of packets, at whatever endpoints."""
    found = [counts for (src, _), counts in window.entries.items() if src == f"{address}:0"]
    return ((sum(counts.rxBytes for counts in found), sum(counts.txBytes for counts in found)),
            sum(counts.rxPkts + counts.txPkts for counts in found))


def forget_endpoint(end, other):
    """As after a restart of a hub: the peer is known, and where it is not."""
    end.namespace.run("wg", "set", end.interface, "peer", other.public_key, "remove")
    end.namespace.run("wg", "set", end.interface, "peer", other.public_key, "allowed-ips", f"{other.address}/32")


def hub_with_two(network):
    """A hub and two peers, each in a namespace of its own behind the same link."""
    hub, first, second = (network.namespace() for _ in range(3))
    network.veth(hub, first, "192.0.2.1/24", "192.0.2.2/24")
    network.veth(hub, second, "198.51.100.1/24", "198.51.100.2/24")
    ends = network.wireguard_pair(hub, first)
    third = Tunnel(second, network.wireguard_go(second)[1], "100.64.0.3", port=51822, endpoint="198.51.100.2")
    key = run(["wg", "genkey"]).stdout
    third.public_key = run(["wg", "pubkey"], stdin=key).stdout.strip()
    second.run("wg", "set", third.interface, "private-key", "/dev/stdin", "listen-port", "51822", "peer", ends[0].public_key,
               "endpoint", "198.51.100.1:51820", "allowed-ips", f"{ends[0].address}/32", stdin=key)
    second.ip("link", "set", third.interface, "mtu", "1420", "addrgenmode", "none")
    second.ip("address", "add", "100.64.0.3/24", "dev", third.interface)
    second.ip("link", "set", third.interface, "up")
    hub.run("wg", "set", ends[0].interface, "peer", third.public_key, "allowed-ips", "100.64.0.3/32",
            "endpoint", "198.51.100.2:51822")
    return ends[0], ends[1], third


@pytest.mark.parametrize("default", [False, True])
def test_a_hub_that_knows_no_endpoint_yet(network, probe, default):
    """The first window's bytes are all there, and with a default route its packets too."""
    left, right, links = network.pair()
    ends = network.wireguard_pair(left, right)
    if default:
        left.ip("route", "add", "default", "via", "192.0.2.2")
    forget_endpoint(*ends)
    device = probe(ends[0])
    assert device.ask("info")["attachment"] == (f"tcx on {links[0]}" if default else "no device leads to a peer")
    send_udp(ends[1], ends[0], 50, 1000, back=40)
    window, tunnel = quiet_window(device, ends[0], (0, 0))
    window.check_conservation()
    assert of_peer(window, ends[1].address)[0] == tunnel
    assert (of_peer(window, ends[1].address)[1] >= 90) == default
    assert device.ask("info")["reason"] is None or not default
    # From now on it is seen.
    start = quiet_start(device, ends[0])
    send_udp(ends[1], ends[0], 50, 1000, back=40, port_left=40002, port_right=40003)
    window, tunnel = quiet_window(device, ends[0], start)
    window.check_conservation()
    assert of_peer(window, ends[1].address)[0] == tunnel
    assert of_peer(window, ends[1].address)[1] >= 90
    assert device.ask("info")["reason"] is None


def test_one_peer_by_a_redirected_port(network, probe):
    """Programs see ports before NAT on the way in and after it on the way out: they never see the tunnel's."""
    hub, direct, redirected = hub_with_two(network)
    nft(hub.namespace, ("dstnat", "udp dport 53 redirect to :51820"))
    redirected.namespace.run("wg", "set", redirected.interface, "peer", hub.public_key, "endpoint", "198.51.100.1:53")
    forget_endpoint(hub, redirected)
    network.handshake((redirected, hub))
    network.handshake((direct, hub))
    device = probe(hub)
    quiet_start(device, hub)
    before = transfers(hub)
    for end, port in (direct, 41000), (redirected, 42000):
        send_udp(end, hub, 40, 1000, back=30, port_left=port, port_right=port + 1)
    window, _ = quiet_window(device, hub, (0, 0))
    after = transfers(hub)
    window.check_conservation()
    for end in direct, redirected:
        moved = tuple(now - then for now, then in zip(after[end.public_key], before[end.public_key]))
        counted, packets = of_peer(window, end.address)
        assert counted == moved and moved[0] >= 40 * 1072
        assert (packets >= 70) == (end is direct)
    reason = device.ask("info")["reason"]
    assert reason.startswith("bytes only, from the tunnel's own counters, for 1 of 2 peers (100.64.0.3): ")
    assert "another port" in reason


@pytest.mark.parametrize("source", ["stranger", "the peer's"])
def test_strangers_change_nothing(network, probe, source):
    """All by a redirected port; then somebody sends 20 bytes to the tunnel's own port."""
    left, right, _ = network.pair()
    ends = network.wireguard_pair(left, right)
    nft(left, ("dstnat", "udp dport 53 redirect to :51820"))
    right.run("wg", "set", ends[1].interface, "peer", ends[0].public_key, "endpoint", f"{HUB}:53")
    forget_endpoint(*ends)
    network.handshake((ends[1], ends[0]))
    device = probe(ends[0])
    start = quiet_start(device, ends[0])
    seen = Window()
    for number in range(3):
        send_udp(ends[1], ends[0], 40, 1000, back=30, port_left=40002 + number, port_right=41002 + number)
        if number == 1:
            # With the tunnel's own port it comes from the peer's endpoint; conntrack takes it for a new flow.
            port = 4000 if source == "stranger" else ends[1].port
            raw_send(right, "192.0.2.2", port, HUB, 51820, bytes(20))
        device.window(seen)
    rest, tunnel = quiet_window(device, ends[0], start)
    seen.check_conservation()
    rest.check_conservation()
    counted = [of_peer(window, ends[1].address)[0] for window in (seen, rest)]
    assert tuple(map(sum, zip(*counted))) == tunnel
    assert tunnel[0] >= 120 * 1072
    assert "for 1 of 1 peer (100.64.0.2)" in device.ask("info")["reason"]


@pytest.mark.parametrize("seen", [True, False])
def test_strangers_with_the_peers_address(network, probe, seen):
    """What the tunnel did not accept is not its peer's, whatever address it bears."""
    left, right, _ = network.pair()
    ends = network.wireguard_pair(left, right)
    if not seen:
        nft(left, ("dstnat", "udp dport 53 redirect to :51820"))
        right.run("wg", "set", ends[1].interface, "peer", ends[0].public_key, "endpoint", f"{HUB}:53")
        forget_endpoint(*ends)
    network.handshake((ends[1], ends[0]))
    device = probe(ends[0])
    send_udp(ends[1], ends[0], 10, 1000, back=10)
    start = quiet_start(device, ends[0])
    total, before = Window(), start
    for number in range(3):
        send_udp(ends[1], ends[0], 40, 1000, back=30, port_left=40002 + number, port_right=41002 + number)
        for _ in range(100):
            raw_send(right, "192.0.2.2", ends[1].port, HUB, 51820, bytes(1200))
        wait_until(lambda: tunnel_counters(ends[0])[0] - before[0] >= 40 * 1072, "the tunnel to count them")
        window = device.window()
        window.check_conservation()
        after = tunnel_counters(ends[0])
        (rx, _), _ = of_peer(window, ends[1].address)
        assert 40 * 1072 <= rx <= after[0] - before[0] + 500
        received = sum(counts.rxPkts for counts in window.entries.values())
        # Which of the datagrams were the peer's, nobody can say: in proportion to the bytes.
        assert 25 <= received <= 55 if seen else received == 0
        before = after
        for key, counts in window.entries.items():
            total.entries[key] = add(total.entries.get(key, ZERO), counts)
        total.unknown = add(total.unknown, window.unknown)
    rest, tunnel = quiet_window(device, ends[0], start)
    # The tunnel has had its time.
    time.sleep(1.1)
    device.window(rest)
    time.sleep(1.1)
    device.window(rest)
    rest.check_conservation()
    counted = [of_peer(window, ends[1].address)[0] for window in (total, rest)]
    assert tuple(map(sum, zip(*counted))) == tunnel
    unknown = add(total.unknown, rest.unknown)
    assert unknown.rxBytes == 3 * 100 * 1200 and (seen or unknown.rxPkts == 300)
    assert device.ask("info")["tunnelDroppedRx"] == 3 * 100 * 1200
    assert (device.ask("info")["reason"] is None) == seen


def raw_send(namespace, source, source_port, destination, port, payload):
    udp = struct.pack(">HHHH", source_port, port, 8 + len(payload), 0) + payload
    packet = struct.pack(">BBHHHBBH4s4s", 0x45, 0, 20 + len(udp), 0, 0, 64, socket.IPPROTO_UDP, 0,
                         socket.inet_aton(source), socket.inet_aton(destination)) + udp
    with namespace.inside():
        raw = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW)
    with raw:
        raw.sendto(packet, (destination, 0))


def test_own_masquerade(network, probe):
    """The machine translates the tunnel's own datagrams to other ports."""
    left, right, _ = network.pair()
    nft(left, ("srcnat", "udp sport 51820 masquerade fully-random"))
    ends = network.wireguard_pair(left, right)
    network.handshake(ends)
    device = probe(ends[0])
    start = quiet_start(device, ends[0])
    send_udp(*ends, 40, 1000, back=30)
    window, tunnel = quiet_window(device, ends[0], start)
    window.check_conservation()
    assert of_peer(window, ends[1].address) == (tunnel, 0)
    assert "another port" in device.ask("info")["reason"]
    # Only sent: that they left by another port was seen.
    start = quiet_start(device, ends[0])
    send_udp(*ends, 40, 1000, port_left=40002, port_right=40003)
    window, tunnel = quiet_window(device, ends[0], start)
    assert of_peer(window, ends[1].address)[0] == tunnel


class Wire:
    """Two tun devices of any link type in two namespaces, joined by a thread."""

    def __init__(self, network, left, right, link_type):
        self.names = []
        self.fds = []
        self.stop_read, self.stop_write = os.pipe()
        for namespace, address in (left, "192.0.2.1/24"), (right, "192.0.2.2/24"):
            name = network.interface_name("li")
            with namespace.inside():
                fd = os.open("/dev/net/tun", os.O_RDWR | os.O_CLOEXEC | os.O_NONBLOCK)
                fcntl.ioctl(fd, TUNSETIFF, struct.pack("16sH22x", name.encode(), IFF_TUN | IFF_NO_PI))
                fcntl.ioctl(fd, TUNSETLINK, link_type)
            self.fds.append(fd)
            self.names.append(name)
            namespace.ip("address", "add", address, "dev", name)
            namespace.ip("link", "set", name, "up")
        self.thread = threading.Thread(target=self.run)
        self.thread.start()
        network.stack.callback(self.close)

    def run(self):
        ways = {self.fds[0]: self.fds[1], self.fds[1]: self.fds[0]}
        while True:
            readable, _, _ = select.select([*self.fds, self.stop_read], [], [])
            if self.stop_read in readable:
                return
            for fd in readable:
                with contextlib.suppress(OSError):
                    os.write(ways[fd], os.read(fd, 65536))

    def close(self):
        os.write(self.stop_write, b"x")
        self.thread.join()
        for fd in (*self.fds, self.stop_read, self.stop_write):
            os.close(fd)


@pytest.mark.parametrize("link_type", [768, 776, 778, 32], ids=["ipip", "sit", "gre", "infiniband"])
def test_underlay_devices_of_other_link_types(network, probe, link_type):
    """Those without a header are watched; of one that cannot be watched the name is told, and the bytes are there."""
    left, right = network.namespace(), network.namespace()
    wire = Wire(network, left, right, link_type)
    ends = network.wireguard_pair(left, right)
    network.handshake(ends)
    device = probe(ends[0])
    start = quiet_start(device, ends[0])
    send_udp(*ends, 40, 1000, back=30)
    window, tunnel = quiet_window(device, ends[0], start)
    window.check_conservation()
    counted, packets = of_peer(window, ends[1].address)
    assert counted == tunnel and tunnel[1] >= 40 * 1072
    info = device.ask("info")
    if link_type != 32:
        assert packets >= 70 and info["attachment"] == f"tcx on {wire.names[0]}" and info["reason"] is None
        return
    assert packets == 0
    assert f"{wire.names[0]}, which leads there, cannot be watched: Operation not supported" in info["reason"]
    # Another way appears: then it is watched.
    links = network.veth(left, right, "198.51.100.1/24", "198.51.100.2/24")
    left.ip("route", "add", "192.0.2.2/32", "via", "198.51.100.2")
    right.ip("route", "add", "192.0.2.1/32", "via", "198.51.100.1")
    device.window()
    start = quiet_start(device, ends[0])
    send_udp(*ends, 40, 1000, back=30, port_left=40002, port_right=40003)
    window, tunnel = quiet_window(device, ends[0], start)
    window.check_conservation()
    counted, packets = of_peer(window, ends[1].address)
    assert counted == tunnel and packets >= 70
    assert links[0] in device.ask("info")["attachment"]


def test_a_route_that_moves_to_a_device_that_cannot_be_watched(network, probe):
    """In the middle of a window: a part of it is seen, and the rest is there too."""
    left, right, _ = network.pair(left_address="198.51.100.1/24", right_address="198.51.100.2/24")
    wire = Wire(network, left, right, 32)
    left.ip("route", "add", "192.0.2.2/32", "via", "198.51.100.2")
    right.ip("route", "add", "192.0.2.1/32", "via", "198.51.100.1")
    ends = network.wireguard_pair(left, right)
    network.handshake(ends)
    device = probe(ends[0])
    start = quiet_start(device, ends[0])
    send_udp(*ends, 40, 1000, back=30)
    for namespace, address in (left, "192.0.2.2/32"), (right, "192.0.2.1/32"):
        namespace.ip("route", "del", address)
    send_udp(*ends, 40, 1000, back=30, port_left=40002, port_right=40003)
    window, tunnel = quiet_window(device, ends[0], start)
    window.check_conservation()
    counted, packets = of_peer(window, ends[1].address)
    assert counted == tunnel and tunnel[1] >= 80 * 1072
    assert 70 <= packets < 140
    assert wire.names[0] in device.ask("info")["reason"]


def test_named_devices_that_see_only_some_peers(network, probe):
    hub, first, second = hub_with_two(network)
    network.handshake((first, hub))
    network.handshake((second, hub))
    (link,) = [link["ifname"] for link in hub.namespace.ip_json("address")
               for address in link["addr_info"] if address["local"] == HUB]
    device = probe(hub, link)
    quiet_start(device, hub)
    before = transfers(hub)
    for end, port in (first, 41000), (second, 42000):
        send_udp(end, hub, 40, 1000, back=30, port_left=port, port_right=port + 1)
    window, _ = quiet_window(device, hub, (0, 0))
    after = transfers(hub)
    window.check_conservation()
    for end in first, second:
        moved = tuple(now - then for now, then in zip(after[end.public_key], before[end.public_key]))
        counted, packets = of_peer(window, end.address)
        assert counted == moved
        assert (packets >= 70) == (end is first)
    assert "for 1 of 2 peers (100.64.0.3)" in device.ask("info")["reason"]


def test_a_mapped_endpoint(network, probe):
    """A socket for both families shows an IPv4 peer as IPv6; its datagrams are IPv4."""
    left, right, _ = network.pair()
    tunnel = FakeTunnel(network, left, [peer("[::ffff:192.0.2.2]:51821")])
    device = probe(tunnel)
    with udp_socket(right, "192.0.2.2", 51821) as other:
        tunnel.send(0, ("192.0.2.2", 51821), 10, 100)
        for _ in range(10):
            other.recv(1000)
        for _ in range(5):
            other.sendto(bytes(200), (HUB, 51820))
            tunnel.udp.recv(1000)
    tunnel.peers[0]["rx_bytes"] += 1000
    window = device.window()
    window.check_conservation()
    assert window.entries == {("100.64.0.2:0", "192.0.2.2:51821"): (10, 1000, 5, 1000)}
    assert device.ask("info")["reason"] is None


@pytest.mark.parametrize("zones", [True, False])
def test_two_peers_at_one_link_local_endpoint(network, probe, zones):
    """On different links. By the link where it is known, else each by its own counters."""
    hub = network.namespace(True)
    others, links = [], []
    for number in range(2):
        others.append(network.namespace(True))
        links.append(network.veth(hub, others[-1], None, None))
        for namespace, link, address in (hub, links[-1][0], f"fe80::1{number}"), (others[-1], links[-1][1], "fe80::9"):
            namespace.ip("address", "add", f"{address}/64", "dev", link, "nodad")
    tunnel = FakeTunnel(network, hub, [peer(f"[fe80::9{'%' + links[n][0] if zones else ''}]:51821") for n in range(2)],
                        socket.AF_INET6)
    device = probe(tunnel)
    with contextlib.ExitStack() as stack:
        for number, (other, link) in enumerate(zip(others, links)):
            with other.inside():
                sock = stack.enter_context(socket.socket(socket.AF_INET6, socket.SOCK_DGRAM))
                sock.bind(("fe80::9", 51821, 0, socket.if_nametoindex(link[1])))
            with hub.inside():
                scope = socket.if_nametoindex(link[0])
            count = 10 + number
            tunnel.send(number, ("fe80::9", 51821, 0, scope), count, 100)
            for _ in range(count):
                sock.recv(1000)
    window = device.window()
    window.check_conservation()
    assert [of_peer(window, f"100.64.0.{number}") for number in (2, 3)] == [
        ((0, 1000), 10 if zones else 0), ((0, 1100), 11 if zones else 0)]
    assert window.totals.txBytes == 2100 and window.unknown.txBytes == 0
    reason = device.ask("info")["reason"]
    assert reason is None if zones else "for 2 of 2 peers (100.64.0.2, 100.64.0.3): another peer has the same" in reason


def test_a_peer_that_moves_more_than_once(network, probe):
    """Within a window: where it was in between is not known, but what passed there is not counted twice."""
    left, right, _ = network.pair()
    ends = network.wireguard_pair(left, right)
    network.handshake(ends)
    device = probe(ends[0])
    start = quiet_start(device, ends[0])
    for number, port in enumerate((51999, 52999)):
        right.run("wg", "set", ends[1].interface, "listen-port", port)
        send_udp(ends[1], ends[0], 40, 1000, back=30, port_left=40002 + number, port_right=41002 + number)
    window, tunnel = quiet_window(device, ends[0], start)
    window.check_conservation()
    assert of_peer(window, ends[1].address)[0] == tunnel and tunnel[0] >= 80 * 1072
    assert (window.totals.rxBytes, window.totals.txBytes) == tunnel
    assert (window.unknown.rxBytes, window.unknown.txBytes) == (0, 0)
    assert device.ask("info").get("tunnelDroppedRx", 0) == 0


def test_counters_that_go_backwards_and_peers_that_vanish(network, probe):
    """Unseen, so that only the counters tell: a restart of one counts from zero, and nothing is counted twice."""
    left, _, _ = network.pair()
    tunnel = FakeTunnel(network, left, [peer("203.0.113.5:51821"), peer("203.0.113.6:51821")])
    device = probe(tunnel)

    def step(*counters):
        for each, (tx, rx) in zip(tunnel.peers, counters):
            each.update(tx_bytes=tx, rx_bytes=rx)
        window = device.window()
        window.check_conservation()
        return [of_peer(window, f"100.64.0.{number}")[0] for number in range(2, 2 + len(counters))]

    assert step((100, 200), (0, 0)) == [(200, 100), (0, 0)]
    assert "for 1 of 2 peers (100.64.0.2): no route" in device.ask("info")["reason"]
    assert step((10, 20), (5, 0)) == [(20, 10), (0, 5)]
    assert "for 2 of 2 peers" in device.ask("info")["reason"]
    gone = tunnel.peers.pop()
    assert step((10, 20)) == [(0, 0)]
    tunnel.peers.append(gone)
    assert step((11, 20), (7, 1)) == [(0, 1), (1, 7)]
    assert step((11, 20), (7, 1)) == [(0, 0), (0, 0)]


def test_the_last_window_of_a_peer_that_was_never_seen_before(network, probe):
    """It is disabled and then extracted; what the tunnel counts after that belongs to nobody."""
    left, right, _ = network.pair()
    nft(left, ("srcnat", "udp sport 51820 masquerade fully-random"))
    ends = network.wireguard_pair(left, right)
    network.handshake(ends)
    device = probe(ends[0])
    start = tunnel_counters(ends[0])
    send_udp(*ends, 40, 1000, back=30)
    wait_until(lambda: tunnel_counters(ends[0]) == tunnel_counters(ends[0]), "the tunnel to be quiet")
    assert device.ask("disable") == 0
    tunnel = tuple(now - then for now, then in zip(tunnel_counters(ends[0]), start))
    send_udp(*ends, 40, 1000, back=30, port_left=40002, port_right=40003)
    window = device.window()
    window.check_conservation()
    assert of_peer(window, ends[1].address) == (tunnel, 0)
    assert tunnel[1] >= 40 * 1072


class Restarts:
    """A daemon whose window ends only by a flush, and a tunnel that goes and comes back while it runs."""

    def __init__(self, network, netlogd, underlay):
        self.network = network
        self.left, self.right, _ = network.pair()
        self.ends = network.wireguard_pair(self.left, self.right)
        self.name = self.ends[0].interface
        network.handshake(self.ends)
        self.configuration = self.left.run("wg", "showconf", self.name).stdout
        self.daemon = netlogd(self.left, {"tun": {"interface": self.name}, "sock": {"underlay": underlay},
                                          "record": {"period": "1h"}}).start()

    def wait(self, state):
        wait_until(lambda: self.daemon.status()["sock"]["state"] == state, f"sock {state}")

    def start(self):
        self.ends[0].process = self.network.wireguard_go(self.left, self.name)[0]
        self.left.run("wg", "setconf", self.name, "/dev/stdin", stdin=self.configuration)
        self.bring_up()

    def bring_up(self):
        """Its first traffic follows at once."""
        self.left.ip("address", "replace", f"{self.ends[0].address}/24", "dev", self.name)
        self.left.ip("link", "set", self.name, "up")
        self.network.handshake(self.ends)
        send_udp(*self.ends, 200, 1000, back=10)

    def logged(self):
        """(rx, tx) in the spool, and the tunnel's counters at that moment."""
        def quiet():
            before = tunnel_counters(self.ends[0])
            self.daemon.flush(0)
            return tunnel_counters(self.ends[0]) == before and before

        tunnel = wait_until(quiet, "a moment without traffic")
        counts = total(self.daemon.spool_messages(), ["physicalTraffic"])
        assert self.daemon.status()["record"]["conservationFailures"] == 0
        return (counts.rxBytes, counts.txBytes), tunnel


@pytest.mark.parametrize("underlay", ["auto", "none"])
@pytest.mark.parametrize("persistent", [False, True])
def test_a_tunnel_that_starts_while_the_daemon_runs(network, netlogd, underlay, persistent):
    """Its counters are zero then: all of its bytes are there, from the first one on."""
    restarts = Restarts(network, netlogd, underlay)
    before, _ = restarts.logged()
    restarts.ends[0].process.terminate()
    restarts.wait("lost")
    if persistent:
        restarts.left.ip("tuntap", "add", restarts.name, "mode", "tun")
        wait_until(lambda: restarts.daemon.status()["sock"]["source"] == "none", "no tunnel on the interface")
    restarts.start()
    restarts.daemon.flush(0)
    restarts.wait("counting")
    after, tunnel = restarts.logged()
    assert tuple(now - then for now, then in zip(after, before)) == tunnel
    assert tunnel[1] >= 200 * 1072


def test_a_tunnel_that_was_only_away_is_not_counted_from_zero(network, netlogd):
    restarts = Restarts(network, netlogd, "auto")
    old, _ = restarts.logged()
    restarts.left.ip("link", "set", restarts.name, "name", "nlother0")
    restarts.wait("lost")
    restarts.left.ip("link", "set", "nlother0", "name", restarts.name)
    restarts.wait("counting")
    start = restarts.logged()
    assert start[0] == old and start[1][1] > 0
    restarts.bring_up()
    after, tunnel = restarts.logged()
    assert tuple(now - then for now, then in zip(after, old)) == tuple(now - then for now, then in zip(tunnel, start[1]))


def test_status_names_them(network, netlogd):
    """In numbers, with the first names and the reason; in the metrics by cause."""
    left, right, _ = network.pair()
    nft(left, ("srcnat", "udp sport 51820 masquerade fully-random"))
    ends = network.wireguard_pair(left, right)
    network.handshake(ends)
    daemon = netlogd(left, {"tun": {"interface": ends[0].interface}, "record": {"period": "1h"}}).start()
    start = tunnel_counters(ends[0])
    send_udp(*ends, 40, 1000, back=30)
    daemon.flush(0)
    sock = daemon.status()["sock"]
    assert sock["unseenPeers"] == [{
        "cause": "port", "peers": 1, "first": ["100.64.0.2"],
        "reason": "its datagrams have another port on the underlay (redirected, or NAT)"}]
    moved = [now - then for now, then in zip(tunnel_counters(ends[0]), start)]
    assert sock["unseen"]["txPkts"] == 0 and 40 * 1072 <= sock["unseen"]["txBytes"] <= moved[1] + 1000
    assert sock["conservationFailures"] == 0
    assert "for 1 of 1 peer (100.64.0.2): its datagrams have another port" in daemon.ctl("status").stdout
    metrics = daemon.ctl("metrics").stdout
    assert 'netlogd_unseen_peers{cause="port"} 1\n' in metrics
    assert f'netlogd_device_unseen_bytes_total{{device="sock",direction="tx"}} {sock["unseen"]["txBytes"]}\n' in metrics
