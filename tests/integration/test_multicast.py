# SPDX-License-Identifier: BSD-3-Clause
"""Multicast and broadcast: what this machine sends comes back to it without having crossed the tunnel."""
import socket
import struct

import pytest

from lib.traffic import entries
from lib.tun import Tun
from lib.wait import wait_until

GROUP, GROUP6, ALL6 = "224.0.0.251", "ff02::fb", "ff02::1"
START = 120  # an emulated machine takes its time to load the programs
MLD2_REPORT, ROUTER_SOLICITATION, NEIGHBOUR_ADVERTISEMENT = 143, 133, 136


def wait_multicast(namespace, interface):
    """The kernel makes the route once it has seen that both ends of the link are up."""
    wait_until(lambda: "ff00::/8" in namespace.ip("-6", "route", "show", "table", "all", "dev", interface), "a route for groups")


def listen(family, port, group, index):
    sock = socket.socket(family, socket.SOCK_DGRAM)
    sock.settimeout(20)
    if family == socket.AF_INET6:
        sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
    sock.bind(("", port))
    if family == socket.AF_INET:
        sock.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, struct.pack("4s4si", socket.inet_aton(group), bytes(4), index))
    else:
        sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_JOIN_GROUP, socket.inet_pton(family, group) + struct.pack("I", index))
    return sock


@pytest.mark.parametrize("source", ["ebpf", "packet"])
@pytest.mark.parametrize("link", ["tun", "ethernet"])
def test_what_comes_back_was_not_received(network, netlogd, source, link):
    """The machine's own members of the group get copies of what is sent; those who want none drop them."""
    if link == "tun":
        here = network.namespace(ipv6=True)
        tun = Tun(network, here, address="192.0.2.1/24", address6="2001:db8::1/64")
        interface = tun.interface
        here.ip("link", "set", interface, "multicast", "on")
    else:
        here, _, (interface, _) = network.pair(ipv6=True)
    wait_multicast(here, interface)
    daemon = netlogd(here, {"tun": {"interface": interface, "source": source},
                            "record": {"period": "1h", "exit-traffic": "full"}}).start(timeout=START)
    with here.inside():
        index = socket.if_nametoindex(interface)
        member, member6 = listen(socket.AF_INET, 5353, GROUP, index), listen(socket.AF_INET6, 5353, GROUP6, index)
        sender, sender6 = (socket.socket(family, socket.SOCK_DGRAM) for family in (socket.AF_INET, socket.AF_INET6))
    with member, member6, sender, sender6:
        sender.bind(("192.0.2.1", 5000))
        sender6.bind(("2001:db8::1", 5000))
        sender.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
        sender.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, struct.pack("4s4si", bytes(4), bytes(4), index))
        for _ in range(3):
            for address, port in (GROUP, 5353), (GROUP, 5354), ("192.0.2.255", 5355):
                sender.sendto(b"x", (address, port))
            for address, port in (GROUP6, 5353), (ALL6, 5356):
                sender6.sendto(b"x", (address, port, 0, index))
            assert member.recv(10) == b"x" and member6.recv(10) == b"x"
    daemon.flush()
    found = {(entry["src"], entry["dst"]): tuple(entry.get(name, 0) for name in ("txPkts", "rxPkts", "txDrops", "rxDrops"))
             for _, entry in entries(daemon.spool_messages()) if entry["proto"] in (0, 17)}
    names = ("192.0.2.1:5000", f"{GROUP}:5353"), ("192.0.2.1:5000", f"{GROUP}:5354"), ("192.0.2.1:5000", "192.0.2.255:5355"), (
        "[2001:db8::1]:5000", f"[{GROUP6}]:5353"), ("[2001:db8::1]:5000", f"[{ALL6}]:5356")
    assert found == {key: (3, 0, 0, 0) for key in names}
    assert daemon.status()["record"]["conservationFailures"] == 0


def test_what_neighbours_say_is_not_dropped(network, netlogd):
    """A node takes of it what concerns it. A datagram to all nodes for a port where nobody listens was received, and dropped."""
    here, there, (interface, other) = network.pair(ipv6=True)
    wait_multicast(there, other)
    daemon = netlogd(here, {"tun": {"interface": interface}, "record": {"period": "1h", "exit-traffic": "full"}}).start(timeout=START)
    with there.inside():
        index = socket.if_nametoindex(other)
        # Joining says so to all routers.
        member, member6 = listen(socket.AF_INET, 5353, "239.1.1.1", index), listen(socket.AF_INET6, 5353, "ff02::1234", index)
        raw, sender = socket.socket(socket.AF_INET6, socket.SOCK_RAW, socket.IPPROTO_ICMPV6), socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
    with member, member6, raw, sender:
        raw.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_HOPS, 255)
        sender.bind(("2001:db8::2", 5000))
        target = socket.inet_pton(socket.AF_INET6, "2001:db8::2")
        for kind, body in (MLD2_REPORT, b""), (ROUTER_SOLICITATION, b""), (NEIGHBOUR_ADVERTISEMENT, target):
            for _ in range(2):
                raw.sendto(bytes([kind, 0, 0, 0]) + bytes(4) + body, (ALL6, 0, 0, index))
        for _ in range(4):
            sender.sendto(b"x", (ALL6, 5353, 0, index))

        def reported():
            daemon.flush()
            return any(entry["src"] == "224.0.0.22:0" for _, entry in entries(daemon.spool_messages()))
        wait_until(reported, "the report of a group's member")
    found = [entry for _, entry in entries(daemon.spool_messages()) if "rxDrops" in entry or "txDrops" in entry]
    assert [(entry["proto"], entry["src"], entry["dst"], entry["rxPkts"], entry["rxDrops"]) for entry in found] == [
        (17, f"[{ALL6}]:5353", "[2001:db8::2]:5000", 4, 4)]
