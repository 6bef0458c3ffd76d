# SPDX-License-Identifier: BSD-3-Clause
"""The physical layer: the counts of a tunnel's datagrams on the real network, against the tunnel's own counters."""
import contextlib
import errno
import socket
import struct

import pytest

from lib.bpf import attached
from lib.network import endpoint_text
from lib.probe import Probe, Window, add, check_against_tunnel, check_two_devices_on_one_link, quiet_start, quiet_window, tunnel_counters
from lib.traffic import Iperf3, send_udp, udp_socket
from lib.wait import wait_until

SOL_UDP, UDP_SEGMENT = 17, 103


@pytest.fixture
def probe():
    """Makes probes of the tunnel's end: probe(end, "auto")."""
    with contextlib.ExitStack() as stack:
        def make(end, *underlay, **options):
            made = Probe(end.namespace, "wireguard", end.interface, *(underlay or ("auto",)), **options)
            stack.callback(made.close)
            assert made.made == {"result": 0, "reason": None}
            assert made.enable() == 0
            return made
        yield make


def peer_of(other):
    return f"{other.address}:0", endpoint_text(other.endpoint, other.port)


@pytest.mark.parametrize("ipv6", [False, True])
def test_equals_the_tunnels_own_counters(network, probe, ipv6):
    endpoints = ("2001:db8::1", "2001:db8::2") if ipv6 else ("192.0.2.1", "192.0.2.2")
    left, right, _ = network.pair(ipv6=True)
    ends = network.wireguard_pair(left, right, endpoints=endpoints)
    network.handshake(ends)
    device = probe(ends[0])
    start = quiet_start(device, ends[0])
    send_udp(*ends, 300, 1000, back=200)
    window, tunnel = quiet_window(device, ends[0], start)
    check_against_tunnel(window, tunnel)
    assert list(window.entries) == [peer_of(ends[1])]
    # 16 bytes of header and 16 of tag around the padded packet of 1028 bytes: 1072 each, plus handshakes and keepalives.
    counts = window.entries[peer_of(ends[1])]
    assert counts.txPkts >= 300 and counts.rxPkts >= 200
    assert counts.txBytes >= 300 * 1072 and counts.rxBytes >= 200 * 1072
    assert device.ask("info")["attachment"].startswith("tcx on ve")


def test_without_tcx(network, wireguard, probe):
    """On kernels before 6.6, clsact filters take TCX's place."""
    left, right = wireguard
    device = probe(left, without_tcx=True)
    assert device.ask("info")["attachment"].startswith("clsact on ve")
    start = quiet_start(device, left)
    send_udp(left, right, 100, 1000, back=50)
    window, tunnel = quiet_window(device, left, start)
    check_against_tunnel(window, tunnel)


def test_full_speed_over_many_windows(network, wireguard, probe):
    """Datagrams in both directions at full speed, while windows keep ending: none is lost or counted twice."""
    device = probe(wireguard[0])
    start = quiet_start(device, wireguard[0])
    iperf = Iperf3(wireguard[1], wireguard[0], "-t", "2", "--bidir")
    window = device.window()
    windows = 1
    while iperf.client.running:
        device.window(window)
        windows += 1
    iperf.result()
    rest, (rx, tx) = quiet_window(device, wireguard[0], start)
    for key, counts in rest.entries.items():
        window.entries[key] = tuple(a + b for a, b in zip(window.entries.get(key, (0, 0, 0, 0)), counts))
    total = [sum(column) for column in zip(*window.entries.values())]
    assert windows > 10
    assert total[1] == tx
    # Datagrams that arrived but did not fit in the tunnel's socket buffer are reported.
    assert total[3] >= rx
    assert device.ask("info")["tunnelDroppedRx"] == total[3] - rx


def test_an_extraction_that_fails_midway(network, wireguard, probe):
    """The entries that it returned do not come again, and every window's totals are those of its entries."""
    left, right = wireguard
    device = probe(left)
    start = quiet_start(device, left)
    sum_of_all = Window()
    for number in range(4):
        send_udp(left, right, 20, 500, back=20, port_left=40100 + number)
        device.ask("flip")
        extraction = device.ask("extract-failing" if number < 3 else "extract")
        window = Window()
        for each in window, sum_of_all:
            each.take(extraction)
        assert window.results == [-errno.EINVAL if number < 3 else 0]
        assert extraction["hasTotals"] == (number == 3)
        window.check_conservation()
        assert window.sum.txPkts > 0 and window.sum.rxPkts > 0
    window, (rx, tx) = quiet_window(device, left, start)
    window.check_conservation()
    for key, counts in window.entries.items():
        sum_of_all.entries[key] = add(sum_of_all.entries[key], counts)
    assert (sum_of_all.sum.rxBytes, sum_of_all.sum.txBytes) == (rx, tx)


def test_roaming_within_a_window_gives_two_entries(network, wireguard, probe):
    left, right = wireguard
    device = probe(left)
    start = quiet_start(device, left)
    send_udp(*wireguard, 50, 500, back=50)
    right.namespace.run("wg", "set", right.interface, "listen-port", "51999")
    # The other end learns the new endpoint from what it receives.
    send_udp(right, left, 60, 500, back=60, port_left=40002, port_right=40003)
    window, tunnel = quiet_window(device, left, start)
    check_against_tunnel(window, tunnel)
    assert set(window.entries) == {("100.64.0.2:0", "192.0.2.2:51821"), ("100.64.0.2:0", "192.0.2.2:51999")}
    assert window.entries["100.64.0.2:0", "192.0.2.2:51821"].txPkts >= 50
    assert window.entries["100.64.0.2:0", "192.0.2.2:51999"].rxPkts >= 60
    assert [text for text in device.ask("events") if "moved" in text] == [
        "peer 100.64.0.2 moved from 192.0.2.2:51821 to 192.0.2.2:51999"]


def test_new_listen_port_within_a_window(network, wireguard, probe):
    left, right = wireguard
    device = probe(left)
    start = quiet_start(device, left)
    send_udp(*wireguard, 20, 500, back=20)
    left.namespace.run("wg", "set", left.interface, "listen-port", "52999")
    send_udp(*wireguard, 30, 500, back=30, port_left=40002, port_right=40003)
    window, tunnel = quiet_window(device, left, start)
    check_against_tunnel(window, tunnel)
    assert list(window.entries) == [peer_of(right)]
    # And in the windows after it.
    start = quiet_start(device, left)
    send_udp(*wireguard, 30, 500, back=30, port_left=40004, port_right=40005)
    window, tunnel = quiet_window(device, left, start)
    check_against_tunnel(window, tunnel)


def test_new_address_within_a_window(network, probe):
    left, right, links = network.pair()
    ends = network.wireguard_pair(left, right)
    network.handshake(ends)
    device = probe(ends[0])
    start = quiet_start(device, ends[0])
    left.ip("address", "add", "192.0.2.77/24", "dev", links[0])
    right.run("wg", "set", ends[1].interface, "peer", ends[0].public_key, "endpoint", "192.0.2.77:51820")
    send_udp(ends[1], ends[0], 40, 500, back=40)
    window, tunnel = quiet_window(device, ends[0], start)
    check_against_tunnel(window, tunnel)
    assert list(window.entries) == [peer_of(ends[1])]


def raw_datagram(source, source_port, destination, port, payload, length=None):
    udp = struct.pack(">HHHH", source_port, port, 8 + len(payload) if length is None else length, 0) + payload
    return struct.pack(">BBHHHBBH4s4s", 0x45, 0, 20 + len(udp), 0, 0, 64, socket.IPPROTO_UDP, 0,
                       socket.inet_aton(source), socket.inet_aton(destination)) + udp


def test_spoofed_datagrams_displace_no_entries(network, wireguard, probe):
    """More senders than fit: all unknown, to the byte; the peer's entry is exact, even when it moves."""
    left, right = wireguard
    device = probe(left)
    start = quiet_start(device, left)
    with right.namespace.inside():
        raw = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW)
    with raw:
        for number in range(10000):
            source = f"198.51.{100 + number // 2500}.{number % 250 + 1}"
            raw.sendto(raw_datagram(source, 1000 + number, left.endpoint, left.port, bytes(32)), (left.endpoint, 0))
    right.namespace.run("wg", "set", right.interface, "listen-port", "51999")
    send_udp(right, left, 60, 500, back=60)
    window, (_, tx) = quiet_window(device, left, start)
    window.check_conservation()
    assert window.sum.txBytes == tx
    assert window.unknown.txPkts == 0
    assert window.unknown.rxPkts >= 10000
    # The tunnel took its peer's datagrams and dropped the spoofed ones.
    moved = window.entries["100.64.0.2:0", "192.0.2.2:51999"]
    assert moved.txPkts >= 60
    assert window.totals.rxPkts == window.unknown.rxPkts + window.sum.rxPkts
    dropped = device.ask("info")["tunnelDroppedRx"]
    assert dropped == 10000 * 32
    # With room again, the next windows are exact in both directions.
    start = quiet_start(device, left)
    send_udp(right, left, 60, 500, back=60, port_left=40002, port_right=40003)
    window, tunnel = quiet_window(device, left, start)
    check_against_tunnel(window, tunnel)
    assert window.unknown == (0, 0, 0, 0)


def test_datagrams_that_lie_about_their_length(network, wireguard, probe):
    """Whatever its header says, a datagram counts at most as long as what came, and never below zero."""
    left, right = wireguard
    device = probe(left)
    quiet_start(device, left)
    with right.namespace.inside():
        raw = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW)
    with raw:
        for length in 65535, 41, 40, 39, 8, 7, 0:
            raw.sendto(raw_datagram("198.51.100.9", 4000, left.endpoint, left.port, bytes(32), length), (left.endpoint, 0))
    window, _ = quiet_window(device, left, tunnel_counters(left))
    window.check_conservation()
    assert window.unknown == (0, 0, 7, 32 + 32 + 32 + 31 + 0 + 32 + 32)


def test_large_segments_count_as_their_datagrams(network, wireguard, probe):
    """UDP_SEGMENT: a large segment counts as its datagrams, the last of which is shorter."""
    left, right = wireguard
    device = probe(left)
    with udp_socket(right.namespace, "192.0.2.2", 7777) as sock:
        sock.setsockopt(SOL_UDP, UDP_SEGMENT, 1200)
        for _ in range(10):
            sock.sendto(bytes(1200 * 30 + 7), (left.endpoint, left.port))
    window, _ = quiet_window(device, left, tunnel_counters(left))
    assert window.unknown.rxPkts == 10 * 31
    assert window.unknown.rxBytes == 10 * (1200 * 30 + 7)
    window.check_conservation()


@pytest.mark.parametrize("ipv6", [False, True])
def test_datagrams_in_fragments(network, probe, ipv6):
    """An underlay whose MTU is too small for the tunnel's datagrams: the first fragment counts for all."""
    endpoints = ("2001:db8::1", "2001:db8::2") if ipv6 else ("192.0.2.1", "192.0.2.2")
    left, right, links = network.pair(ipv6=True, mtu=1300)
    ends = network.wireguard_pair(left, right, endpoints=endpoints)
    network.handshake(ends)
    device = probe(ends[0])
    start = quiet_start(device, ends[0])
    sent = send_udp(*ends, 40, 1380, back=40)
    assert sent.txPkts == 40
    window, tunnel = quiet_window(device, ends[0], start)
    check_against_tunnel(window, tunnel)
    counts = window.entries[peer_of(ends[1])]
    assert 40 <= counts.txPkts < 60 and 40 <= counts.rxPkts < 60
    assert left.statistics(links[0])["tx"]["packets"] >= 80


def test_forwarded_datagrams_are_not_the_tunnels(network, probe):
    """Another machine's datagrams from and to the same ports, routed through this one."""
    left, right, links = network.pair()
    behind = network.namespace()
    network.veth(left, behind, "198.51.100.1/24", "198.51.100.2/24")
    left.sysctl("net.ipv4.ip_forward", 1)
    behind.ip("route", "add", "192.0.2.0/24", "via", "198.51.100.1")
    right.ip("route", "add", "198.51.100.0/24", "via", "192.0.2.1")
    ends = network.wireguard_pair(left, right)
    network.handshake(ends)
    device = probe(ends[0])
    start = quiet_start(device, ends[0])
    with udp_socket(behind, "198.51.100.2", 51820) as inner, udp_socket(right, "192.0.2.2", 4000) as outer:
        outer.settimeout(20)
        inner.settimeout(20)
        for _ in range(25):
            inner.sendto(bytes(100), ("192.0.2.2", 4000))
            outer.recv(1000)
            outer.sendto(bytes(100), ("198.51.100.2", 51820))
            inner.recv(1000)
    send_udp(*ends, 20, 500, back=20)
    window, tunnel = quiet_window(device, ends[0], start)
    check_against_tunnel(window, tunnel)
    assert window.unknown == (0, 0, 0, 0)
    assert window.totals.txPkts < 40


def test_a_bridge_is_counted_once(network, probe):
    left, right, links = network.pair(left_address=None)
    left.ip("link", "add", "br0", "type", "bridge")
    left.ip("link", "set", links[0], "master", "br0")
    left.ip("address", "add", "192.0.2.1/24", "dev", "br0")
    left.ip("link", "set", "br0", "up")
    ends = network.wireguard_pair(left, right)
    network.handshake(ends)
    device = probe(ends[0])
    start = quiet_start(device, ends[0])
    send_udp(*ends, 50, 500, back=50)
    window, tunnel = quiet_window(device, ends[0], start)
    check_against_tunnel(window, tunnel)
    assert device.ask("info")["attachment"] == "tcx on br0"


def test_a_macvlan_and_the_device_below_it(network, probe):
    """Two peers, one behind a macvlan, one behind the device below it: frames of the first pass through both."""
    left, right, links = network.pair()
    left.ip("link", "add", "mv0", "link", links[0], "type", "macvlan", "mode", "private")
    left.ip("address", "add", "198.51.100.1/24", "dev", "mv0")
    left.ip("link", "set", "mv0", "up")
    right.ip("address", "add", "198.51.100.2/24", "dev", links[1])
    ends = network.wireguard_pair(left, right)
    network.handshake(ends)
    far = network.wireguard_pair(network.namespace(), right, addresses=("100.64.1.1", "100.64.1.2"), ports=(51830, 51831))[1]
    key = left.run("wg", "show", ends[0].interface, "public-key").stdout.strip()
    left.run("wg", "set", ends[0].interface, "peer", far.public_key, "endpoint", "198.51.100.2:51831",
             "allowed-ips", "100.64.0.3/32")
    right.run("wg", "set", far.interface, "peer", key, "endpoint", "198.51.100.1:51820", "allowed-ips", "100.64.0.1/32")
    device = probe(ends[0])
    assert device.ask("info")["attachment"] in (f"tcx on {links[0]}, mv0", f"tcx on mv0, {links[0]}")
    start = quiet_start(device, ends[0])
    left.run("ping", "-c", "3", "-i", "0.2", "-W", "1", "100.64.0.3", check=False)
    send_udp(*ends, 50, 500, back=50)
    window, tunnel = quiet_window(device, ends[0], start)
    check_against_tunnel(window, tunnel)
    assert set(window.entries) == {peer_of(ends[1]), ("100.64.0.3:0", "198.51.100.2:51831")}
    # At least the handshake's 148 bytes.
    assert window.entries["100.64.0.3:0", "198.51.100.2:51831"].txBytes >= 148


def test_a_route_that_moves_is_followed(network, probe):
    left, right, links = network.pair()
    second = network.veth(left, right, "198.51.100.1/24", "198.51.100.2/24")
    for namespace in (left, right):
        namespace.sysctl("net.ipv4.conf.all.rp_filter", 0)
    ends = network.wireguard_pair(left, right)
    network.handshake(ends)
    device = probe(ends[0])
    assert device.ask("info")["attachment"] == f"tcx on {links[0]}"
    left.ip("route", "add", "192.0.2.2/32", "via", "198.51.100.2")
    right.ip("route", "add", "192.0.2.1/32", "via", "198.51.100.1")
    # The daemon watches the device's descriptor; here the next window does it.
    device.window()
    assert f"{second[0]}" in device.ask("info")["attachment"]
    start = quiet_start(device, ends[0])
    send_udp(*ends, 50, 500, back=50)
    window, tunnel = quiet_window(device, ends[0], start)
    check_against_tunnel(window, tunnel)
    # A device that no route uses any more is released; until now its own network led there.
    left.ip("address", "flush", "dev", links[0])
    wait_until(lambda: device.window() and device.ask("info")["attachment"] == f"tcx on {second[0]}", "only the new device")


@pytest.mark.parametrize("compat", [None, 0])
@pytest.mark.parametrize("ipv6", [False, True])
def test_all_paths_of_a_route_are_watched(network, probe, ipv6, compat):
    """A multipath route spreads flows over several devices; the kernel chooses for each flow."""
    left, right, links = network.pair(ipv6=True)
    second = network.veth(left, right, "198.51.100.1/24", "198.51.100.2/24", left_address6="2001:db8:1::1/64",
                          right_address6="2001:db8:1::2/64")
    here, there = ("2001:db8:9::1", "2001:db8:9::2") if ipv6 else ("203.0.113.1", "203.0.113.2")
    gateways = ("2001:db8::", "2001:db8:1::") if ipv6 else ("192.0.2.", "198.51.100.")
    for namespace, own, other, host, namespace_links in (
            (left, here, there, "2", (links[0], second[0])), (right, there, here, "1", (links[1], second[1]))):
        namespace.sysctl("net.ipv4.fib_multipath_hash_policy", 1)
        namespace.sysctl("net.ipv6.fib_multipath_hash_policy", 1)
        namespace.sysctl("net.ipv4.conf.all.rp_filter", 0)
        namespace.ip("address", "add", own, "dev", "lo")
        ways = [word for gateway in gateways for word in ("nexthop", "via", gateway + host)]
        if compat is not None:
            # Without it, the kernel's answers name nothing but the object.
            namespace.sysctl("net.ipv4.nexthop_compat_mode", compat)
            for number, (gateway, link) in enumerate(zip(gateways, namespace_links)):
                namespace.ip("nexthop", "add", "id", 1 + number, "via", gateway + host, "dev", link)
            namespace.ip("nexthop", "add", "id", "10", "group", "1/2")
            ways = ["nhid", "10"]
        namespace.ip(*(["-6"] if ipv6 else []), "route", "add", other, "src", own, *ways)
    ends = network.wireguard_pair(left, right, endpoints=(here, there))
    network.handshake(ends)
    device = probe(ends[0])
    assert sorted(device.ask("info")["attachment"].removeprefix("tcx on ").split(", ")) == sorted((links[0], second[0]))
    for number in range(8):
        start = quiet_start(device, ends[0])
        right.run("wg", "set", ends[1].interface, "listen-port", str(52000 + number))
        send_udp(ends[1], ends[0], 20, 500, back=20, port_left=40002 + 2 * number, port_right=40003 + 2 * number)
        window, tunnel = quiet_window(device, ends[0], start)
        check_against_tunnel(window, tunnel)


@pytest.mark.parametrize("compat", [None, 0])
def test_answers_from_another_uplink(network, probe, compat):
    """Two uplinks: the peer reaches this node by the second, and policy rules send the answers back there."""
    left, right, links = network.pair()
    second = network.veth(left, right, "198.51.100.1/24", "198.51.100.2/24")
    for namespace in (left, right):
        namespace.sysctl("net.ipv4.conf.all.rp_filter", 0)
    left.ip("rule", "add", "from", "198.51.100.1", "table", "100")
    way = ["via", "198.51.100.2"]
    if compat is not None:
        left.sysctl("net.ipv4.nexthop_compat_mode", compat)
        left.ip("nexthop", "add", "id", "1", *way, "dev", second[0])
        way = ["nhid", "1"]
    left.ip("route", "add", "default", *way, "table", "100")
    right.ip("route", "add", "198.51.100.1/32", "dev", second[1], "src", "192.0.2.2")
    ends = network.wireguard_pair(left, right)
    network.handshake(ends)
    device = probe(ends[0])
    assert sorted(device.ask("info")["attachment"].removeprefix("tcx on ").split(", ")) == sorted((links[0], second[0]))
    right.run("wg", "set", ends[1].interface, "peer", ends[0].public_key, "endpoint", "198.51.100.1:51820")
    start = quiet_start(device, ends[0])
    before = left.statistics(second[0])["tx"]["packets"]
    send_udp(ends[1], ends[0], 40, 500, back=40)
    window, tunnel = quiet_window(device, ends[0], start)
    assert left.statistics(second[0])["tx"]["packets"] >= before + 40
    check_against_tunnel(window, tunnel)
    assert list(window.entries) == [peer_of(ends[1])]


def test_link_local_endpoints(network, probe):
    """The address does not say which link it is on, nor does wireguard-go: every link with such addresses is watched."""
    left, right, links = network.pair(ipv6=True)
    other = network.namespace(True)
    more = network.veth(left, other, "198.51.100.1/24", "198.51.100.2/24")
    for namespace, link, address in (left, links[0], "fe80::11"), (right, links[1], "fe80::12"), (left, more[0], "fe80::21"):
        namespace.ip("address", "add", f"{address}/64", "dev", link, "nodad")
    ends = network.wireguard_pair(left, right)
    left.run("wg", "set", ends[0].interface, "peer", ends[1].public_key, "endpoint", f"[fe80::12%{links[0]}]:51821")
    network.handshake(ends)
    device = probe(ends[0])
    assert sorted(device.ask("info")["attachment"].removeprefix("tcx on ").split(", ")) == sorted((links[0], more[0]))
    start = quiet_start(device, ends[0])
    send_udp(*ends, 30, 500, back=30)
    window, tunnel = quiet_window(device, ends[0], start)
    check_against_tunnel(window, tunnel)
    assert list(window.entries) == [("100.64.0.2:0", "[fe80::12]:51821")]


def test_two_macvlan_devices_on_one_link(network, probe):
    watched, below = check_two_devices_on_one_link(network, probe, "macvlan", "bridge")
    assert sorted(watched) == sorted(("sub0", below))


def test_a_route_into_the_tunnel_itself_is_ignored(network, probe):
    left, right, _ = network.pair()
    ends = network.wireguard_pair(left, right)
    left.ip("route", "add", "192.0.2.2/32", "dev", ends[0].interface)
    device = probe(ends[0])
    assert ends[0].interface not in device.ask("info")["attachment"]


def test_the_tunnels_mark_decides_the_route(network, probe):
    """As wg-quick does it: the default route leads into the tunnel, except for marked packets."""
    left, right, links = network.pair()
    ends = network.wireguard_pair(left, right)
    network.handshake(ends)
    left.run("wg", "set", ends[0].interface, "fwmark", "51820")
    left.ip("route", "add", "default", "dev", ends[0].interface, "table", "51820")
    left.ip("rule", "add", "not", "fwmark", "51820", "table", "51820")
    device = probe(ends[0])
    assert device.ask("info")["attachment"] == f"tcx on {links[0]}"
    start = quiet_start(device, ends[0])
    send_udp(*ends, 20, 500, back=20)
    window, tunnel = quiet_window(device, ends[0], start)
    check_against_tunnel(window, tunnel)


@pytest.mark.parametrize("underlay", ["auto", "none"])
def test_a_stop_and_a_start(network, wireguard, probe, underlay):
    """What was not extracted before the stop, and what passed meanwhile, belongs to no window after the start."""
    left, _ = wireguard
    device = probe(left, underlay)
    quiet_start(device, left)
    send_udp(*wireguard, 50, 500, back=50)
    assert device.ask("disable") == 0
    send_udp(*wireguard, 50, 500, back=50, port_left=40002, port_right=40003)
    assert device.enable() == 0
    window = device.window(device.window())
    assert window.sum.txBytes < 1000 and window.totals.txBytes < 1000
    start = quiet_start(device, left)
    send_udp(*wireguard, 20, 500, back=20, port_left=40004, port_right=40005)
    window, (rx, tx) = quiet_window(device, left, start)
    assert (window.sum.txBytes, window.sum.rxBytes) == (tx, rx)


def test_an_underlay_in_another_namespace(network, wireguard, probe):
    """The interface is in a namespace that its datagrams do not pass: then only the tunnel's own counters are left."""
    left, right = wireguard
    inner = network.namespace()
    left.namespace.ip("link", "set", left.interface, "netns", inner.name)
    inner.ip("address", "add", f"{left.address}/24", "dev", left.interface)
    inner.ip("link", "set", left.interface, "up")
    left.namespace = inner
    device = probe(left)
    assert device.ask("info")["attachment"] == "no device leads to a peer"
    start = quiet_start(device, left)
    send_udp(left, right, 30, 500, back=30)
    window, tunnel = quiet_window(device, left, start)
    device.window(window)
    assert (window.sum.rxBytes, window.sum.txBytes) == tunnel
    assert list(window.entries) == [peer_of(right)] and window.sum.txPkts == 0
    info = device.ask("info")
    assert info["reason"].startswith("bytes only, from the tunnel's own counters")
    assert info["attachment"].startswith("/var/run/wireguard/")
    # From then on at once.
    start = quiet_start(device, left)
    send_udp(left, right, 30, 500, back=30, port_left=40002, port_right=40003)
    window, tunnel = quiet_window(device, left, start)
    assert (window.sum.rxBytes, window.sum.txBytes) == tunnel


def test_what_a_tunnel_sends_to_a_dead_peer_is_not_counted(network, probe):
    """The tunnel counts what it hands to the kernel, but nothing leaves on a link where nobody answers."""
    left, _, _ = network.pair()
    ends = network.wireguard_pair(left, network.namespace(), endpoints=("192.0.2.1", "192.0.2.99"))
    device = probe(ends[0])
    ends[0].namespace.run("ping", "-c", "1", "-W", "1", ends[1].address, check=False)
    window = device.window(device.window())
    assert window.entries == {} and window.totals == (0, 0, 0, 0)
    assert tunnel_counters(ends[0])[1] >= 148
    assert device.ask("info")["reason"] is None


def test_a_peer_without_allowed_ips(network, probe):
    """It has no address in the tunnel; its datagrams are still counted as its own."""
    ends = network.wireguard_pair()
    ends[0].namespace.run("wg", "set", ends[0].interface, "peer", ends[1].public_key, "allowed-ips", "")
    device = probe(ends[0])
    start = quiet_start(device, ends[0])
    ends[1].namespace.run("ping", "-c", "2", "-i", "0.2", "-W", "1", ends[0].address, check=False)
    window, tunnel = quiet_window(device, ends[0], start)
    check_against_tunnel(window, tunnel)
    assert list(window.entries) == [("", "192.0.2.2:51821")]
    assert window.sum.rxPkts >= 1 and window.sum.txPkts >= 1
    (event,) = device.ask("events")
    assert event == f"peer {ends[1].public_key[:8]} is active at 192.0.2.2:51821"


def test_a_peer_recreated_within_a_window(network, wireguard, probe):
    """The tunnel's counters for it restart; what passed on the underlay is all there."""
    left, right = wireguard
    device = probe(left)
    start = quiet_start(device, left)
    send_udp(*wireguard, 40, 500, back=40)
    rx, tx = (now - then for now, then in zip(tunnel_counters(left), start))
    left.namespace.run("wg", "set", left.interface, "peer", right.public_key, "remove")
    left.namespace.run("wg", "set", left.interface, "peer", right.public_key, "endpoint", "192.0.2.2:51821",
                       "allowed-ips", "100.64.0.2/32,10.9.0.0/16")
    send_udp(*wireguard, 40, 500, back=40, port_left=40002, port_right=40003)
    window, after = quiet_window(device, left, (0, 0))
    window.check_conservation()
    assert list(window.entries) == [peer_of(right)]
    assert window.sum.txBytes == tx + after[1]
    assert window.sum.rxBytes >= rx + after[0]
    # A removed peer keeps its datagrams until the window ends.
    quiet_start(device, left)
    send_udp(*wireguard, 10, 500, back=10, port_left=40004, port_right=40005)
    left.namespace.run("wg", "set", left.interface, "peer", right.public_key, "remove")
    window = device.window()
    window.check_conservation()
    assert window.entries[peer_of(right)].txPkts >= 10 and window.entries[peer_of(right)].rxPkts >= 10


def test_named_devices_only(network, wireguard, probe):
    left, right = wireguard
    device = probe(left, "lo")
    start = quiet_start(device, left)
    send_udp(*wireguard, 20, 500)
    window, tunnel = quiet_window(device, left, start)
    assert tunnel[1] > 0
    assert window.totals == (0, 0, 0, 0)
    assert device.ask("info")["attachment"] == "tcx on lo"


@pytest.mark.parametrize("end", ["polite", "killed"])
def test_nothing_stays_on_the_device(network, wireguard, end):
    left, _ = wireguard
    device = Probe(left.namespace, "wireguard", left.interface, "auto")
    try:
        device.enable()
        name = device.ask("info")["attachment"].removeprefix("tcx on ")
        assert len(attached(left.namespace, name)) == 2
        if end == "polite":
            device.ask("disable")
            assert attached(left.namespace, name) == []
        else:
            device.popen.kill()
            device.popen.wait()
    finally:
        device.popen.kill()
        device.close(check=False)
    wait_until(lambda: attached(left.namespace, name) == [], "nothing on the device")
