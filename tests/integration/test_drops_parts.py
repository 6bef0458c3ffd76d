# SPDX-License-Identifier: BSD-3-Clause
"""Packets that consist of others, by fragmentation or WireGuard: the kernel frees each of the parts, dropped or not."""
import socket
import struct

import pytest

from lib.drops import CONFIG, FAR, START, checksum, ipv4, node, udp


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
