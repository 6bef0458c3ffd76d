# SPDX-License-Identifier: BSD-3-Clause
"""Packets that the kernel throws away: counted by connection and reason, against nftables' and the kernel's own counters."""
import contextlib
import json
import os
import socket
import struct
import threading

import pytest

from lib.drops import ACK, CONFIG, FAR, FIN, PSH, RST, START, SYN, Far, Node, checksum, ipv4, node, tcp, udp
from lib.traffic import entries
from lib.tun import Tun
from lib.wait import wait_until

CONNECTIONS = 12 * int(os.environ.get("NETLOGD_TEST_WINDOWS", "250"))  # fewer in an emulated machine


def send(node, count, destination, port, source=None):
    """Sends datagrams by a socket; an error is what a dropped one may give."""
    errors = 0
    with node.namespace.inside(), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind((source or node.address, 5000))
        for _ in range(count):
            try:
                sock.sendto(bytes(10), (destination, port))
            except OSError:
                errors += 1
    return errors


def test_a_firewall_drops_and_rejects(node):
    node.nft("""table ip t {
        counter dropped {} ; counter rejected {} ; counter invalid {} ; counter raw {} ; counter sent {} ; counter late {}
        chain raw { type filter hook prerouting priority -300; udp dport 7 counter name raw drop; }
        chain input { type filter hook input priority 0; ct state invalid counter name invalid drop;
                      udp dport 1 counter name dropped drop; udp dport 2 counter name rejected reject; }
        chain output { type filter hook output priority 0; udp dport 3 counter name sent drop; }
        chain late { type filter hook postrouting priority 0; udp dport 4 counter name late drop; }
    }""")
    for port, count in (1, 5), (2, 3), (7, 6):
        for _ in range(count):
            node.tun.write(udp(FAR, 1000, node.address, port))
    for _ in range(2):
        node.tun.write(tcp(FAR, 1000, node.address, 22, 0x03))  # SYN and FIN
    assert send(node, 4, FAR, 3) == 4
    assert send(node, 7, FAR, 4) == 7
    found = node.window()
    names = ("dropped", "rejected", "raw", "invalid", "sent", "late")
    counted = {name: node.counter(name) for name in names}
    assert counted == {"dropped": 5, "rejected": 3, "raw": 6, "invalid": 2, "sent": 4, "late": 7}
    assert found == {
        (17, f"{node.address}:1", f"{FAR}:1000"): (0, 5, 0, 5, "NETFILTER_DROP"),
        (17, f"{node.address}:2", f"{FAR}:1000"): (0, 3, 0, 3, "NETFILTER_DROP"),
        (17, f"{node.address}:7", f"{FAR}:1000"): (0, 6, 0, 6, "NETFILTER_DROP"),
        (6, f"{node.address}:22", f"{FAR}:1000"): (0, 2, 0, 2, "NETFILTER_DROP"),
        # They have never reached the tunnel.
        (17, f"{node.address}:5000", f"{FAR}:3"): (0, 0, 4, 0, "NETFILTER_DROP"),
        (17, f"{node.address}:5000", f"{FAR}:4"): (0, 0, 7, 0, "NETFILTER_DROP"),
    }
    assert node.reasons() == {"NETFILTER_DROP": (11, 16)}
    metrics = node.daemon.call("Metrics")["text"]
    assert 'netlogd_dropped_packets_total{direction="tx",reason="NETFILTER_DROP"} 11\n' in metrics
    assert 'netlogd_dropped_packets_total{direction="rx",reason="NETFILTER_DROP"} 16\n' in metrics
    # The next window begins with nothing.
    assert node.window() == {}
    rows = json.loads(node.daemon.ctl("--json", "denied", "--since", "1h").stdout)["rows"]
    assert {(row["proto"], row["from"], row["to"]): (row["txDrops"], row["rxDrops"], row["reason"]) for row in rows} == {
        (17, FAR, f"{node.address}:1"): (0, 5, "NETFILTER_DROP"),
        (17, FAR, f"{node.address}:2"): (0, 3, "NETFILTER_DROP"),
        (17, FAR, f"{node.address}:7"): (0, 6, "NETFILTER_DROP"),
        (6, FAR, f"{node.address}:22"): (0, 2, "NETFILTER_DROP"),
        (17, node.address, f"{FAR}:3"): (4, 0, "NETFILTER_DROP"),
        (17, node.address, f"{FAR}:4"): (7, 0, "NETFILTER_DROP"),
    }
    text = node.daemon.ctl("status").stdout
    assert "16 received and 11 outgoing packets, by the kernel: NETFILTER_DROP 27\n" in text, text


@pytest.mark.parametrize("details", ["yes", "no"])
def test_who_tried(network, netlogd, details):
    """A SYN that never reached the tunnel tells who wanted to open a connection, and none has begun."""
    node = Node(network, netlogd)
    lan = network.namespace()
    network.veth(node.namespace, lan, "10.9.0.1/24", "10.9.0.2/24")
    lan.ip("route", "add", "default", "via", "10.9.0.1")
    node.namespace.sysctl("net.ipv4.ip_forward", 1)
    node.daemon.configure({"record": {"details": details}})
    node.start()
    node.nft("""table ip t { counter dropped {}; counter on {}
        chain output { type filter hook output priority 0; meta l4proto { tcp, udp } th dport 3 counter name dropped drop; }
        chain forward { type filter hook forward priority 0; tcp dport 3 counter name on drop; }
    }""")
    with contextlib.ExitStack() as stack:
        for place, address in (node.namespace, node.address), (lan, "10.9.0.2"):
            with place.inside():
                one = stack.enter_context(socket.socket())
            one.setblocking(False)
            one.bind((address, 5000))
            one.connect_ex((FAR, 3))
        send(node, 1, FAR, 3)
        wait_until(lambda: node.counter("dropped") >= 2 and node.counter("on") >= 1, "the SYNs")
        node.daemon.flush()
    found = {(entry["proto"], entry["src"]): entry for _, entry in entries(node.daemon.spool_messages()) if entry["dst"] == f"{FAR}:3"}
    assert found.pop((17, f"{node.address}:5000")).keys() == {"proto", "src", "dst", "txDrops", "dropReason"}
    assert found.keys() == {(6, f"{node.address}:5000"), (6, "10.9.0.2:5000")}
    for entry in found.values():
        assert entry.pop("txDrops") >= 1
        assert entry == {"proto": 6, "src": entry["src"], "dst": f"{FAR}:3", "dropReason": "NETFILTER_DROP",
                         **({"init": "src"} if details == "yes" else {})}


def snmp(node, protocol, name):
    """The kernel's own counter."""
    files = "/proc/net/netstat", "/proc/net/snmp"
    lines = [line.split() for line in node.namespace.run("cat", *files).stdout.splitlines()]
    names, values = [line for line in lines if line[0] == protocol + ":"]
    return int(values[names.index(name)])


def test_the_stack_refuses(network, netlogd):
    """Missing sockets, reverse paths and routes, TTL, a full socket: against the kernel's own counters where it has one."""
    node = Node(network, netlogd)
    lan = network.namespace()
    here, _ = network.veth(node.namespace, lan, "10.9.0.1/24", "10.9.0.2/24")
    lan.ip("route", "add", "default", "via", "10.9.0.1")
    node.namespace.sysctl("net.ipv4.ip_forward", 1)
    node.namespace.sysctl(f"net.ipv4.conf.{node.tun.interface}.rp_filter", 1)
    node.namespace.sysctl("net.ipv4.icmp_ratelimit", 0)
    node.start()
    no_ports = snmp(node, "Udp", "NoPorts")
    for _ in range(3):
        node.tun.write(udp(FAR, 1000, node.address, 11))
    node.tun.write(tcp(FAR, 1000, node.address, 12, 0x02))
    assert snmp(node, "Udp", "NoPorts") == no_ports + 3
    # Its source is behind another interface.
    for _ in range(4):
        node.tun.write(udp("10.9.0.77", 1000, node.address, 13))
    # No route leads there.
    for _ in range(2):
        node.tun.write(udp(FAR, 1000, "203.0.113.1", 14))
    # Forwarded, but it has lived too long.
    for _ in range(5):
        node.tun.write(udp(FAR, 1000, "10.9.0.2", 15, ttl=1))
    with node.namespace.inside(), socket.create_server((node.address, 17)), \
            socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as full:
        for _ in range(2):
            node.tun.write(tcp(FAR, 1000, node.address, 17, 0x10))
        full.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        full.bind((node.address, 16))
        for _ in range(100):
            node.tun.write(udp(FAR, 1000, node.address, 16, size=1000))
        refused = snmp(node, "Udp", "RcvbufErrors")
        assert 0 < refused < 100
        found = node.window()
    # A listening socket had it already: it has lost its device by then. (Reasons of TCP's own change with the kernel.)
    *counts, reason = found.pop((6, f"{node.address}:17", f"{FAR}:1000"))
    assert counts == [2, 2, 0, 2] and reason
    expected = {
        (17, f"{node.address}:11", f"{FAR}:1000"): (0, 3, 0, 3, "NO_SOCKET"),
        (6, f"{node.address}:12", f"{FAR}:1000"): (1, 1, 0, 1, "NO_SOCKET"),
        (17, f"{node.address}:13", "10.9.0.77:1000"): (0, 4, 0, 4, "IP_RPFILTER"),
        (17, "10.9.0.2:15", f"{FAR}:1000"): (0, 5, 0, 5, "IP_INHDR"),
        (17, f"{node.address}:16", f"{FAR}:1000"): (0, 100, 0, refused, "SOCKET_RCVBUFF"),
        (17, "203.0.113.1:14", f"{FAR}:1000"): (0, 2, 0, 2, "IP_INNOROUTES"),
    }
    assert found == expected
    # What the socket had taken, and lost when it was closed, was not refused.
    assert node.window() == {}


def test_what_a_connection_takes(node):
    """The kernel calls some of it dropped, without a reason, when it has no more use for it."""
    with node.namespace.inside(), socket.create_server((node.address, 20)) as server:
        server.settimeout(20)
        # A SYN that came twice is answered twice.
        far = Far(node, 1000)
        far.send(SYN)
        far.expect(SYN | ACK)
        far.send(SYN, seq=1000)
        far.expect(SYN | ACK)
        far.send(ACK)
        with server.accept()[0] as connection:
            # A keep-alive probe; data that comes twice; and some that comes too early, twice.
            far.send(ACK, seq=far.seq - 1)
            far.expect(ACK)
            far.send(PSH | ACK, data=b"once")
            far.expect(ACK)
            far.send(PSH | ACK, data=b"once", seq=far.seq - 4)
            far.expect(ACK)
            for seq in far.seq + 2, far.seq + 2, far.seq:
                far.send(PSH | ACK, data=b"on", seq=seq)
                far.expect(ACK)
            assert connection.recv(100) == b"onceonon"
            # The far end closes first; what it acknowledges then has no data behind it.
            far.send(FIN | ACK)
            far.expect(ACK)
            for _ in range(3):
                connection.send(b"x")
                far.expect(ACK)
                far.send(ACK)
        far.expect(FIN | ACK)
        far.send(ACK)
        # The near end closes first. The far end does not know that its own FIN has arrived.
        far = Far(node, 1001)
        far.open(server).close()
        far.expect(FIN | ACK)
        far.send(ACK)
        far.send(FIN | ACK)
        far.expect(ACK)
        far.send(FIN | ACK, seq=far.seq - 1)
        far.expect(ACK)
        # Both close at once.
        far = Far(node, 1002)
        connection = far.open(server)
        ack = far.ack
        connection.close()
        far.expect(FIN | ACK)
        far.ack, ack = ack, far.ack
        far.send(FIN | ACK)
        far.ack = ack
        far.send(ACK)
        # A scan goes no further than the answer.
        far = Far(node, 1003)
        far.send(SYN)
        far.expect(SYN | ACK)
        far.send(RST)
        # The node opens a connection, and is answered twice.
        far = Far(node, 1005, near_port=21)
        with socket.socket() as connection:
            connection.setblocking(False)
            connection.bind((node.address, 21))
            connection.connect_ex((FAR, 1005))
            far.expect(SYN)
            far.send(SYN | ACK)
            far.expect(ACK)
            far.send(SYN | ACK, seq=1000)
            far.expect(ACK)
        # The far end wants no more of what it is sent.
        far = Far(node, 1004)
        with far.open(server):
            far.send(RST | ACK)
        assert node.window() == {}
    assert node.reasons() == {}


def test_the_last_data_twice(node):
    if tuple(int(part) for part in os.uname().release.split(".")[:2]) < (6, 11):
        pytest.skip("this kernel has no word on the socket of a dropped packet")
    with node.namespace.inside(), socket.create_server((node.address, 20)) as server:
        server.settimeout(20)
        far = Far(node, 1000)
        with far.open(server) as connection:
            connection.shutdown(socket.SHUT_WR)
            far.expect(FIN | ACK)
            for _ in range(2):
                far.send(PSH | FIN | ACK, seq=1001, data=b"last")
                far.expect(ACK)
        assert node.window() == {}


def test_what_a_connection_does_not_take(node):
    """Data that comes after the end, and what is too much for a listening socket."""
    with node.namespace.inside(), socket.create_server((node.address, 20)) as server:
        server.settimeout(20)
        far = Far(node, 1000)
        with far.open(server):
            far.send(FIN | ACK)
            far.expect(ACK)
            for _ in range(2):
                far.send(PSH | ACK, data=b"late")
        far = Far(node, 1001)
        far.open(server).close()
        far.expect(FIN | ACK)
        far.send(ACK)
        for _ in range(3):
            far.send(PSH | ACK, data=b"late")
        found = node.window()
        assert {key[2]: counts[2:4] for key, counts in found.items()} == {f"{FAR}:1000": (0, 2), f"{FAR}:1001": (0, 3)}
        # The backlog has room for one more than it says. Which number of them arrives, the kernel says.
        server.listen(0)
        waiting = [Far(node, 2000 + number) for number in range(5)]
        for far in waiting:
            far.send(SYN)
            far.expect(SYN | ACK)
        overflows = snmp(node, "TcpExt", "ListenOverflows")
        for far in waiting:
            far.send(ACK)
        found = node.window()
        assert snmp(node, "TcpExt", "ListenOverflows") == overflows + 4
        assert {key[2]: counts[2:4] for key, counts in found.items()} == {f"{FAR}:{port}": (0, 1) for port in range(2001, 2005)}


def icmp(kind, ends=b""):
    """An ICMP echo request (8) or reply (0), for IPv6 (128, 129) with both addresses."""
    body = struct.pack("!HH", 7, 1) + bytes(8)
    pseudo = ends + struct.pack("!II", 4 + len(body), 58) if ends else b""
    return struct.pack("!BBH", kind, 0, checksum(pseudo + bytes([kind]) + bytes(3) + body)) + body


def test_pings(network, netlogd):
    """Those of a raw socket get their answers as copies; and the far end's are answered."""
    node = Node(network, netlogd, ipv6=True, address6="fd7a:115c:a1e0::1/64").start()
    near, far = "fd7a:115c:a1e0::1", "fd7a:115c:a1e0::9"
    ends = socket.inet_pton(socket.AF_INET6, far) + socket.inet_pton(socket.AF_INET6, near)
    with node.namespace.inside(), socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP) as raw, \
            socket.socket(socket.AF_INET6, socket.SOCK_RAW, socket.IPPROTO_ICMPV6) as raw6:
        for _ in range(4):
            raw.sendto(icmp(8), (FAR, 0))
            raw6.sendto(icmp(128, ends), (far, 0))
            for kind, kind6 in (0, 129), (8, 128):
                node.tun.write(ipv4(FAR, node.address, 1, icmp(kind)))
                assert raw.recv(100)[20] == kind
                node.tun.write(struct.pack("!IHBB", 6 << 28, 16, 58, 64) + ends + icmp(kind6, ends))
                while raw6.recv(100)[0] != kind6:
                    pass
    assert snmp(node, "Icmp", "OutEchoReps") == 4
    assert node.window() == {}
    assert node.reasons() == {}


def test_connections_that_go_well(network, netlogd):
    """Thousands, opened and closed by either end, half closed and closed by both at once: nothing of them was dropped."""
    addresses6 = "fd7a:115c:a1e0::1", "fd7a:115c:a1e0::2"
    try:
        left, right = network.wireguard_pair(kernel=True, addresses6=addresses6)
    except AssertionError:
        left, right = network.wireguard_pair(addresses6=addresses6)
    network.handshake((left, right))
    # What is late is not sent again: of what comes twice, the kernel may rightly say that it has no socket any more.
    for end in left, right:
        end.namespace.sysctl("net.ipv4.tcp_early_retrans", 0)
        for prefix, metric in ("100.64.0.0/24", 0), ("fd7a:115c:a1e0::/64", 256):
            end.namespace.ip("route", "change", prefix, "dev", end.interface, "proto", "kernel", "metric", str(metric),
                             "rto_min", "10s")
    daemon = netlogd(left.namespace, {**CONFIG, "tun": {"interface": left.interface}}).start(timeout=START)
    for client, server, address in (left, right, right.address), (right, left, left.address), \
            (left, right, right.address6), (right, left, left.address6):
        with server.namespace.inside():
            family = socket.AF_INET6 if ":" in address else socket.AF_INET
            listener = socket.create_server((address, 5000), family=family, backlog=100)
        listener.settimeout(20)
        with listener:
            for number in range(CONNECTIONS // 4):
                with client.namespace.inside():
                    one = socket.create_connection((address, 5000), timeout=20)
                other, _ = listener.accept()
                other.settimeout(20)
                go_well(*((one, other) if number % 2 else (other, one)), number // 2 % 3)
    wait_until(lambda: not left.namespace.run("ss", "-Htn", "exclude", "time-wait", "sport = :5000 or dport = :5000").stdout,
               "the end of all connections")
    daemon.flush()
    found = [entry for _, entry in entries(daemon.spool_messages())]
    assert [entry for entry in found if "rxDrops" in entry or "txDrops" in entry] == []
    assert sum(entry.get("starts", 0) for entry in found if entry["proto"] == 6) == CONNECTIONS
    drops = daemon.status()["drops"]
    assert (drops["state"], drops["reasons"], drops["unplaced"], drops["missed"]) == ("counting", [], 0, 0)


def go_well(first, second, way):
    """A connection's end: the first end closes, and then the second; or both at once; or the second goes on sending for a while."""
    first.sendall(b"x" * 100)
    assert second.recv(200) == b"x" * 100
    if way == 0:
        first.close()
        assert second.recv(1) == b""
    elif way == 1:
        first.shutdown(socket.SHUT_WR)
        assert second.recv(1) == b""
        for _ in range(3):
            second.sendall(b"y")
            assert first.recv(1) == b"y"
        second.close()
        assert first.recv(1) == b""
        first.close()
    if way == 2:
        first.close()
    second.close()


def test_what_is_forwarded(network, netlogd):
    """From the tunnel to another interface: received and dropped, unless that interface dropped it. The other way: not sent."""
    node = Node(network, netlogd)
    lan = network.namespace()
    here, there = network.veth(node.namespace, lan, "10.9.0.1/24", "10.9.0.2/24")
    lan.ip("route", "add", "default", "via", "10.9.0.1")
    node.namespace.sysctl("net.ipv4.ip_forward", 1)
    node.start()
    node.nft("""table ip t {
        counter on {} ; counter back {} ; counter late {}
        chain forward { type filter hook forward priority 0; udp dport 1 counter name on drop; udp dport 2 counter name back drop; }
        chain late { type filter hook postrouting priority 0; udp dport 3 counter name late drop; }
    }""")
    for port, count in (1, 3), (3, 4), (4, 2):
        for _ in range(count):
            node.tun.write(udp(FAR, 1000, "10.9.0.2", port))
    with lan.inside(), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("10.9.0.2", 5000))
        for _ in range(5):
            sock.sendto(b"x", (FAR, 2))
    # Nobody has this address: the packets wait for it in vain.
    for _ in range(2):
        node.tun.write(udp(FAR, 1000, "10.9.0.77", 5))
    wait_until(lambda: node.reasons().get("NEIGH_FAILED") or node.daemon.flush() is None, "the neighbour's silence")
    # The other device's queue takes nothing.
    node.namespace.run("tc", "qdisc", "add", "dev", here, "root", "pfifo", "limit", "0")
    for _ in range(6):
        node.tun.write(udp(FAR, 1000, "10.9.0.2", 6))
    # The tunnel's own does not, either.
    node.namespace.run("tc", "qdisc", "add", "dev", node.tun.interface, "root", "pfifo", "limit", "0")
    send(node, 8, FAR, 7)
    node.window()
    assert node.counter("on") == 3 and node.counter("back") == 5 and node.counter("late") == 4
    found = {}
    for _, entry in entries(node.daemon.spool_messages()):
        key = entry["src"], entry["dst"]
        drops = entry.get("txDrops", 0), entry.get("rxDrops", 0)
        found[key] = tuple(a + b for a, b in zip(found.get(key, (0, 0)), drops))
    assert {key: drops for key, drops in found.items() if any(drops)} == {
        ("10.9.0.2:1", f"{FAR}:1000"): (0, 3),
        ("10.9.0.2:5000", f"{FAR}:2"): (5, 0),
        ("10.9.0.2:3", f"{FAR}:1000"): (0, 4),
        ("10.9.0.77:5", f"{FAR}:1000"): (0, 2),
        (f"{node.address}:5000", f"{FAR}:7"): (8, 0),
    }


def test_a_hub(network, netlogd):
    """What comes out of the tunnel and goes back into it: received and dropped on the way, sent and dropped at its queue."""
    node = Node(network, netlogd)
    node.namespace.sysctl("net.ipv4.ip_forward", 1)
    node.namespace.sysctl("net.ipv4.conf.all.send_redirects", 0)
    node.namespace.sysctl(f"net.ipv4.conf.{node.tun.interface}.send_redirects", 0)
    node.start()
    node.nft("""table ip t { counter on {}; counter late {}
        chain forward { type filter hook forward priority 0; udp dport 1 counter name on drop; }
        chain late { type filter hook postrouting priority 0; udp dport 2 counter name late drop; }
    }""")
    for port, count in (1, 3), (2, 4):
        for _ in range(count):
            node.tun.write(udp(FAR, 1000, "100.64.0.20", port))
    node.namespace.run("tc", "qdisc", "add", "dev", node.tun.interface, "root", "pfifo", "limit", "0")
    for _ in range(5):
        node.tun.write(udp(FAR, 1000, "100.64.0.20", 3))
    assert node.counter("on") == 3 and node.counter("late") == 4
    found = {key: counts[:4] for key, counts in node.window().items()}
    assert found == {
        (17, "100.64.0.20:1", f"{FAR}:1000"): (0, 3, 0, 3),
        (17, "100.64.0.20:2", f"{FAR}:1000"): (0, 4, 0, 4),
        (17, f"{FAR}:1000", "100.64.0.20:3"): (5, 0, 5, 0),
    }


def test_another_network_namespace(network, netlogd):
    """Its interfaces have the same indexes."""
    ours, theirs = Node(network, netlogd), Node(network, netlogd)
    indexes = [node.namespace.ip_json("link", "show", "dev", node.tun.interface)[0]["ifindex"] for node in (ours, theirs)]
    assert indexes[0] == indexes[1]
    ours.start()
    rules = """table ip t { counter dropped {} ; counter sent {}
        chain input { type filter hook input priority 0; udp dport 1 counter name dropped drop; }
        chain output { type filter hook output priority 0; udp dport 3 counter name sent drop; }
    }"""
    for node, count in (ours, 2), (theirs, 50):
        node.nft(rules)
        send(node, count, FAR, 3)
        with node.namespace.inside(), socket.create_server((node.address, 4)):
            for _ in range(count):
                node.tun.write(udp(FAR, 1000, node.address, 1))
                node.tun.write(udp(FAR, 1000, node.address, 2))
                node.tun.write(tcp(FAR, 1000, node.address, 2, 0x02))
                node.tun.write(tcp(FAR, 1000, node.address, 4, 0x10))
    assert theirs.counter("dropped") == 50 and theirs.counter("sent") == 50
    ours.daemon.flush()
    reasons = ours.reasons()
    assert reasons.pop("NETFILTER_DROP") == (2, 2) and reasons.pop("NO_SOCKET") == (0, 4)
    # The listening socket's: of one reason, which changes with the kernel.
    assert list(reasons.values()) == [(0, 2)]
    assert ours.daemon.status()["drops"]["unplaced"] == 0


def test_packets_that_are_no_packets(node):
    """Shorter than their headers; the entry is the one that they are counted in."""
    whole = udp(FAR, 1000, node.address, 1)
    with_options = b"\x4f" + whole[1:20] + bytes(40) + whole[20:]
    # Its TCP header is said to be longer than the packet, and shorter than any.
    reset = tcp(FAR, 1000, node.address, 1, RST)
    long, short = (reset[:32] + offset + reset[33:] for offset in (b"\xf0", b"\x40"))
    packets = (whole[:19], whole[:20], whole[:24], b"\x40" + whole[1:], b"\x4f" + whole[1:], with_options,
               b"\x60" + bytes(39), b"\x60" + bytes(20), b"\x45", whole[:9] + b"\x06" + whole[10:20],
               long, short, ipv4(FAR, node.address, 6, reset[20:39]))
    for packet in packets:
        node.tun.write(packet)
    before = node.daemon.status()["tun"]["totals"]["rxPkts"]
    node.window()
    status = node.daemon.status()
    assert status["tun"]["totals"]["rxPkts"] - before == len(packets)
    assert status["drops"]["rxPkts"] == len(packets)
    for _, entry in entries(node.daemon.spool_messages()):
        assert entry.get("rxDrops") == entry.get("rxPkts"), entry


def udp6(source, source_port, destination, destination_port, size=10):
    addresses = socket.inet_pton(socket.AF_INET6, source) + socket.inet_pton(socket.AF_INET6, destination)
    header = struct.pack("!HHHH", source_port, destination_port, 8 + size, 0)
    header = header[:6] + struct.pack("!H", checksum(addresses + struct.pack("!II", 8 + size, 17) + header + bytes(size)))
    return struct.pack("!IHBB", 6 << 28, 8 + size, 17, 64) + addresses + header + bytes(size)


def test_ipv6(network, netlogd):
    node = Node(network, netlogd, ipv6=True, address6="fd7a:115c:a1e0::1/64").start()
    near, far = "fd7a:115c:a1e0::1", "fd7a:115c:a1e0::9"
    node.nft("""table ip6 t { counter dropped {}; counter sent {}
        chain input { type filter hook input priority 0; udp dport 1 counter name dropped drop; }
        chain output { type filter hook output priority 0; udp dport 3 counter name sent drop; }
    }""")
    for port, count in (1, 4), (2, 3):
        for _ in range(count):
            node.tun.write(udp6(far, 1000, near, port))
    with node.namespace.inside(), socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as sock:
        sock.bind((near, 5000))
        for _ in range(5):
            with contextlib.suppress(OSError):
                sock.sendto(b"x", (far, 3))
    assert node.counter("dropped", "ip6") == 4 and node.counter("sent", "ip6") == 5
    assert node.window() == {
        (17, f"[{near}]:1", f"[{far}]:1000"): (0, 4, 0, 4, "NETFILTER_DROP"),
        (17, f"[{near}]:2", f"[{far}]:1000"): (0, 3, 0, 3, "NO_SOCKET"),
        (17, f"[{near}]:5000", f"[{far}]:3"): (0, 0, 5, 0, "NETFILTER_DROP"),
    }


def test_a_flood(node):
    """Equal to the packet, window after window."""
    node.nft("""table ip t { counter dropped {}
        chain input { type filter hook input priority 0; udp dport 1 counter name dropped drop; }
    }""")
    packets = [udp(FAR, 1000 + number, node.address, 1) for number in range(200)]
    for _ in range(50):
        for _ in range(5):
            for packet in packets:
                node.tun.write(packet)
        node.daemon.flush()
    status = node.daemon.status()["drops"]
    assert node.counter("dropped") == 50000 == status["rxPkts"] + status["missed"]
    assert status["overflow"] == 0 and status["missed"] <= 50
    assert sum(entry.get("rxDrops", 0) for _, entry in entries(node.daemon.spool_messages())) == status["rxPkts"]


def test_more_connections_than_fit(network, netlogd):
    node = Node(network, netlogd)
    node.daemon.configure({"tun": {"max-flows": 64}})
    node.start()
    for number in range(600):
        node.tun.write(udp(FAR, 1000 + number // 2, node.address, 11))
    node.daemon.flush()
    drops = node.daemon.status()["drops"]
    found = sum(entry.get("rxDrops", 0) for _, entry in entries(node.daemon.spool_messages()))
    assert drops["rxPkts"] == 600 and 0 < found < 600
    assert found + drops["overflow"] == 600


def test_what_a_sniffer_misses_was_not_dropped(node):
    """Packet sockets and raw ones get copies: that these find no room says nothing about the packets."""
    with node.namespace.inside(), socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3)) as sniffer, \
            socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP) as raw:
        for sock in sniffer, raw:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1)
        send(node, 100, FAR, 9)
        for _ in range(100):
            node.tun.write(ipv4(FAR, node.address, 1, b"\x08\x00" + struct.pack("!H", checksum(b"\x08\x00" + bytes(998))) + bytes(996)))
        node.window()
    assert node.reasons() == {}


def test_wireguard_without_a_peer(network, netlogd):
    """The kernel's WireGuard refuses a packet to an address that no peer has; another tunnel's datagrams are not its own."""
    try:
        left, right = network.wireguard_pair(kernel=True)
    except AssertionError as error:
        pytest.skip(f"this kernel has no WireGuard: {error}"[:200])
    network.handshake((left, right))
    daemon = netlogd(left.namespace, {**CONFIG, "tun": {"interface": left.interface}}).start(timeout=START)
    with left.namespace.inside(), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind((left.address, 5000))
        for _ in range(6):
            try:
                sock.sendto(b"x", ("100.64.0.77", 1))
            except OSError:
                pass
        # What the tunnel wants to send to its peer is not the tunnel's packet any more.
        left.namespace.run("nft", "-f", "-", stdin="""table ip t { counter outer {}
            chain output { type filter hook output priority 0; udp sport 51820 counter name outer drop; }
        }""")
        for _ in range(3):
            sock.sendto(b"x", (right.address, 2))
    daemon.flush()
    drops = daemon.status()["drops"]
    assert (drops["txPkts"], drops["rxPkts"]) == (6, 0), drops
    found = [entry for _, entry in entries(daemon.spool_messages()) if entry.get("txDrops")]
    assert [(entry["dst"], entry["txPkts"], entry["txDrops"]) for entry in found] == [("100.64.0.77:1", 6, 6)]


@pytest.mark.parametrize("lacking", ["-sys_admin,-perfmon,-bpf", "-sys_admin,-perfmon"])
def test_without_the_right_to_trace(network, netlogd, lacking):
    """The daemon counts without it, and says what is missing."""
    namespace = network.namespace()
    tun = Tun(network, namespace)
    daemon = netlogd(namespace, {**CONFIG, "tun": {"interface": tun.interface}})
    daemon.namespace = Without(namespace, lacking)
    daemon.start(timeout=START)
    drops = daemon.status()["drops"]
    assert drops["state"] == "unavailable"
    assert "CAP_PERFMON" in drops["reason"]
    assert "CAP_PERFMON" in daemon.ctl("status").stdout
    assert '\nnetlogd_drops_state{state="unavailable"} 1\n' in daemon.call("Metrics")["text"]
    tun = daemon.status()["tun"]
    assert (tun["state"], tun["source"]) == ("counting", "packet") and "CAP_PERFMON" in tun["reason"]


def test_with_the_units_rights(network, netlogd):
    """netlogd.service has these and no others."""
    node = Node(network, netlogd)
    node.daemon.namespace = Without(node.namespace, "-all,+bpf,+perfmon,+net_admin,+net_raw")
    node.start()
    node.tun.write(udp(FAR, 1000, node.address, 11))
    assert node.window() == {(17, f"{node.address}:11", f"{FAR}:1000"): (0, 1, 0, 1, "NO_SOCKET")}


class Without:
    """A namespace whose processes lack some capabilities."""

    def __init__(self, namespace, capabilities):
        self.namespace = namespace
        self.capabilities = capabilities

    def __getattr__(self, name):
        return getattr(self.namespace, name)

    def start(self, *command, **options):
        return self.namespace.start("setpriv", f"--bounding-set={self.capabilities}", f"--inh-caps={self.capabilities}",
                                    *command, **options)


def test_drops_can_be_left_out(network, netlogd):
    node = Node(network, netlogd)
    node.daemon.configure({"record": {"drops": "no"}})
    node.daemon.start(timeout=START)
    node.tun.write(udp(FAR, 1000, node.address, 11))
    assert node.window() == {}
    assert node.daemon.status()["drops"] == {"state": "off"}
    # A reload counts them from then on; they need no other details.
    node.daemon.configure({"record": {"drops": "yes", "details": "no"}})
    node.daemon.reload()
    for _ in range(2):
        node.tun.write(udp(FAR, 1000, node.address, 11))
    assert node.window() == {(17, f"{node.address}:11", f"{FAR}:1000"): (0, 2, 0, 2, "NO_SOCKET")}
    entry = next(entry for _, entry in entries(node.daemon.spool_messages()) if "rxDrops" in entry)
    assert "init" not in entry and "starts" not in entry
    node.daemon.call("Stop")
    assert node.daemon.status()["drops"]["state"] == "waiting"
    node.tun.write(udp(FAR, 1000, node.address, 11))
    node.daemon.call("Start")
    node.tun.write(udp(FAR, 1000, node.address, 11))
    node.window()
    assert node.reasons() == {"NO_SOCKET": (0, 3)}


@pytest.mark.parametrize("details", ["yes", "no"])
def test_reloads_amid_drops(network, netlogd, details):
    """What is thrown away until a reload has ended the counting is in entries, too."""
    node = Node(network, netlogd)
    node.daemon.configure({"record": {"details": details}})
    node.start()
    done = threading.Event()

    def write():
        while not done.is_set():
            node.tun.write(udp(FAR, 1000, node.address, 11))
    writer = threading.Thread(target=write)
    writer.start()
    try:
        for drops in ["no", "yes"] * 5:
            node.daemon.configure({"record": {"drops": drops}})
            node.daemon.reload()
    finally:
        done.set()
        writer.join()
    node.daemon.flush()
    dropped = sum(entry.get("rxDrops", 0) for _, entry in entries(node.daemon.spool_messages()))
    status = node.daemon.status()
    assert dropped == status["drops"]["rxPkts"] > 0
    assert status["record"]["conservationFailures"] == 0


@pytest.mark.parametrize("details", ["yes", "no"])
@pytest.mark.parametrize("drops", ["yes", "no"])
def test_with_and_without_details(network, netlogd, details, drops):
    """Drops and the other details need each other nowhere: in entries, the status, the metrics, flows and denied."""
    node = Node(network, netlogd)
    node.daemon.configure({"record": {"details": details, "drops": drops}})
    node.daemon.start(timeout=START)
    for _ in range(2):
        node.tun.write(udp(FAR, 1000, node.address, 11))
    node.tun.write(tcp(FAR, 1000, node.address, 12, SYN))
    node.daemon.flush()
    lost = {"rxDrops": 1, "dropReason": "NO_SOCKET"} if drops == "yes" else {}
    course = {"init": "dst", "starts": 1, "ends": 1, "txFlags": RST | ACK, "rxFlags": SYN} if details == "yes" else {}
    found = {entry["proto"]: entry for _, entry in entries(node.daemon.spool_messages())}
    assert found[6] == {"proto": 6, "src": f"{node.address}:12", "dst": f"{FAR}:1000", "txPkts": 1, "txBytes": 40,
                        "rxPkts": 1, "rxBytes": 40, **course, **lost}
    assert found[17] == {"proto": 17, "src": f"{node.address}:11", "dst": f"{FAR}:1000", "rxPkts": 2, "rxBytes": 76,
                         **({"rxDrops": 2, "dropReason": "NO_SOCKET"} if lost else {})}
    status = node.daemon.status()
    assert ("live" in status["record"]) == bool(course)
    if lost:
        assert node.reasons() == {"NO_SOCKET": (0, 3)}
    else:
        assert status["drops"] == {"state": "off"}
    assert ("  dropped     3 received and 0 outgoing packets, by the kernel: NO_SOCKET 3\n"
            in node.daemon.ctl("status").stdout) == bool(lost)
    metrics = node.daemon.call("Metrics")["text"]
    assert ('netlogd_dropped_packets_total{direction="rx",reason="NO_SOCKET"} 3\n' in metrics) == bool(lost)
    assert ("\nnetlogd_live_connections 3\n" in metrics) == bool(course)
    assert f"\nnetlogd_details_enabled {int(bool(course))}\n" in metrics
    assert f'\nnetlogd_drops_state{{state="{"counting" if lost else "off"}"}} 1\n' in metrics
    # What flows and denied make of them: the last cells of each line.
    title, *rows = [line.split() for line in node.daemon.ctl("flows", "--details").stdout.splitlines()]
    assert title[10:] == ["HOW"] * bool(course or lost) + ["FLAGS", "BEGUN", "ENDED"] * bool(course) + ["DROPPED"] * bool(lost)
    cells = {row[1]: row[11:] for row in rows}
    tcp_cells = ["refused", "S/RA", "1", "1"] if course else ["dropped"] * bool(lost)
    assert cells == {"icmp": [], "tcp": tcp_cells + ["1"] * bool(lost), "udp": ["dropped", "2"] * bool(lost)}
    denied = node.daemon.ctl("denied", "--since", "1h")
    assert [line.split()[:6] for line in denied.stdout.splitlines()[1:]] == [
        ["udp", FAR, f"{node.address}:11", "2", "-", "NO_SOCKET"],
        ["tcp", FAR, f"{node.address}:12", "1", "-", "NO_SOCKET"]] * bool(lost)
    assert ("nothing was dropped, or it was not counted" in denied.stderr) == (not lost)
    refused = node.daemon.ctl("flows", "--how", "refused").stdout
    assert ("tcp" in refused, "udp" in refused) == (bool(course), False)


def test_the_interface_comes_back(network, netlogd):
    """With another index."""
    node = Node(network, netlogd).start()
    node.tun.close()
    wait_until(lambda: node.daemon.flush() and node.daemon.status()["tun"]["state"] == "lost", "the loss of the interface")
    assert node.daemon.status()["drops"]["state"] == "waiting"
    Tun(network, node.namespace, address="100.127.0.1/16")  # takes the old index
    tun = Tun(network, node.namespace, interface=node.tun.interface)
    wait_until(lambda: node.daemon.flush() and node.daemon.status()["drops"]["state"] == "counting", "drops", timeout=30)
    tun.write(udp(FAR, 1000, node.address, 11))
    node.daemon.flush()
    assert node.reasons() == {"NO_SOCKET": (0, 1)}
