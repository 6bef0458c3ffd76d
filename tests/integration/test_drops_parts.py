# SPDX-License-Identifier: BSD-3-Clause
"""Packets that consist of others, by fragmentation or GRO: the kernel frees each of the parts, dropped or not."""
import socket
import struct

import pytest

from lib.drops import ACK, CONFIG, FAR, START, Far, Node, checksum, ipv4, node, tcp, udp
from lib.tun import IFF_NAPI
from lib.wait import wait_until


def fragments(source, destination, port, size):
    """A datagram in three pieces."""
    datagram = udp(source, 1000, destination, port, size)[20:]
    step = len(datagram) // 24 * 8
    for offset in 0, step, 2 * step:
        part = datagram[offset:offset + step] if offset < 2 * step else datagram[offset:]
        packet = ipv4(source, destination, 17, part)
        header = packet[:4] + struct.pack("!HH", 7, offset // 8 | (0x2000 if offset < 2 * step else 0)) + packet[8:10] + bytes(2) + packet[12:20]
        yield header[:10] + struct.pack("!H", checksum(header)) + header[12:] + part


@pytest.mark.parametrize("rules", ["", "table ip t { chain input { type filter hook input priority 0; ct state invalid accept; }\n}"])
def test_fragments_that_arrive(node, rules):
    """Put together before or behind the firewall."""
    node.nft(rules)
    with node.namespace.inside(), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.settimeout(20)
        sock.bind((node.address, 20))
        for packet in fragments(FAR, node.address, 20, 3000):
            node.tun.write(packet)
        assert sock.recv(4000) == bytes(3000)
    assert node.window() == {}
    assert node.reasons() == {}
    assert node.daemon.status()["drops"]["unplaced"] == 0


def test_large_packets_that_go_well(network, netlogd):
    """Much at once, which the kernel's WireGuard joins before the stack has it."""
    try:
        left, right = network.wireguard_pair(kernel=True)
    except AssertionError as error:
        pytest.skip(f"this kernel has no WireGuard: {error}"[:200])
    network.handshake((left, right))
    daemon = netlogd(left.namespace, {**CONFIG, "tun": {"interface": left.interface}}).start(timeout=START)
    with left.namespace.inside():
        listener = socket.create_server((left.address, 5000))
    listener.settimeout(20)
    with listener:
        with right.namespace.inside():
            sender = socket.create_connection((left.address, 5000), timeout=20)
        receiver, _ = listener.accept()
        receiver.settimeout(20)
        with sender, receiver:
            for _ in range(50):
                sender.sendall(bytes(30000))
                size = 0
                while size < 30000:
                    size += len(receiver.recv(30000))
    daemon.flush()
    assert daemon.status()["drops"]["reasons"] == []


def write_joined(node, *packets):
    """The kernel makes one large packet of these segments (GRO), as it does of what WireGuard has decrypted."""
    node.namespace.run("unshare", "--mount", "sh", "-c",
                       f"mount -t sysfs none /sys && echo 100000000 > /sys/class/net/{node.tun.interface}/gro_flush_timeout")
    for packet in packets:
        node.tun.write(packet)


def test_a_large_packet_of_parts(network, netlogd):
    """Its parts are packets, too, and go with it: they are counted once."""
    node = Node(network, netlogd, flags=IFF_NAPI).start()
    node.nft("""table ip t { counter dropped {}
        chain raw { type filter hook prerouting priority -300; tcp dport 1 counter name dropped drop; }
    }""")
    write_joined(node, *(tcp(FAR, 1000, node.address, 1, ACK, seq=1 + 1000 * number, data=bytes(1000)) for number in range(5)))
    wait_until(lambda: node.counter("dropped"), "the large packet")
    if node.counter("dropped") > 1:
        pytest.skip("this machine is too slow to join packets")
    assert node.window() == {(6, f"{node.address}:1", f"{FAR}:1000"): (0, 5, 0, 5, "NETFILTER_DROP")}
    assert node.reasons() == {"NETFILTER_DROP": (0, 5)}
    # What a socket takes was not dropped.
    with node.namespace.inside(), socket.create_server((node.address, 20)) as server:
        server.settimeout(20)
        far = Far(node, 1000)
        with far.open(server) as connection:
            connection.settimeout(20)
            packets = [tcp(FAR, 1000, node.address, 20, ACK, far.seq + 1000 * number, far.ack, bytes(1000)) for number in range(5)]
            write_joined(node, *packets)
            size = 0
            while size < 5000:
                size += len(connection.recv(5000))
            assert node.window() == {}
    assert node.reasons() == {"NETFILTER_DROP": (0, 5)}
