# SPDX-License-Identifier: BSD-3-Clause
"""
Large packets that the kernel has joined (GRO). It joins only what comes within a tick of its clock, for which an emulated machine
is too slow; test_drops_parts has what WireGuard joins there.
"""
import socket

from lib.drops import ACK, FAR, Far, Node, tcp
from lib.tun import IFF_NAPI
from lib.wait import wait_until

SEGMENTS = 5
SIZE = 1000
TRIES = 50


def segments(node, port, seq=1, ack=1):
    return [tcp(FAR, 1000, node.address, port, ACK, seq + SIZE * number, ack, bytes(SIZE)) for number in range(SEGMENTS)]


def write_until_joined(node):
    """Segments that a rule drops, until some were joined before. Returns how many were written in all."""
    for tries in range(1, TRIES + 1):
        for segment in segments(node, 1):
            node.tun.write(segment)
        wait_until(lambda: node.counter("dropped", what="bytes") - 40 * node.counter("dropped") == tries * SEGMENTS * SIZE,
                   "all that was written")
        if node.counter("dropped") < tries * SEGMENTS:
            return tries * SEGMENTS
    raise AssertionError("the kernel joined nothing")


def test_a_large_packet_of_parts(network, netlogd):
    """Its parts are packets, too, and go with it: they are counted once."""
    node = Node(network, netlogd, flags=IFF_NAPI).start()
    node.namespace.run("unshare", "--mount", "sh", "-c",
                       f"mount -t sysfs none /sys && echo 20000000 > /sys/class/net/{node.tun.interface}/gro_flush_timeout")
    node.nft("""table ip t { counter dropped {}
        chain raw { type filter hook prerouting priority -300; tcp dport 1 counter name dropped drop; }
    }""")
    written = write_until_joined(node)
    assert node.window() == {(6, f"{node.address}:1", f"{FAR}:1000"): (0, written, 0, written, "NETFILTER_DROP")}
    assert node.reasons() == {"NETFILTER_DROP": (0, written)}
    # What a socket takes was not dropped.
    with node.namespace.inside(), socket.create_server((node.address, 20)) as server:
        server.settimeout(20)
        far = Far(node, 1000)
        with far.open(server) as connection:
            connection.settimeout(20)
            for segment in segments(node, 20, far.seq, far.ack):
                node.tun.write(segment)
            size = 0
            while size < SEGMENTS * SIZE:
                size += len(connection.recv(SEGMENTS * SIZE))
            assert node.window() == {}
    assert node.reasons() == {"NETFILTER_DROP": (0, written)}
