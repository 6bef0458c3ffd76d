# SPDX-License-Identifier: BSD-3-Clause
"""Packets for a daemon that counts what the kernel throws away of them, written to a tun device."""
import json
import os
import socket
import struct

import pytest

from .traffic import entries
from .tun import Tun
from .wait import wait_until

FAR = "100.64.0.9"
FIN, SYN, RST, PSH, ACK = 0x01, 0x02, 0x04, 0x08, 0x10
START = 120  # an emulated machine takes its time to load the programs
CONFIG = {"record": {"period": "1h", "exit-traffic": "full"}}


def checksum(data):
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    total = (total & 0xffff) + (total >> 16)
    return ~(total + (total >> 16)) & 0xffff


def ipv4(source, destination, proto, payload, ttl=64):
    header = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 20 + len(payload), 0, 0, ttl, proto, 0,
                         socket.inet_aton(source), socket.inet_aton(destination))
    return header[:10] + struct.pack("!H", checksum(header)) + header[12:] + payload


def udp(source, source_port, destination, destination_port, size=10, **options):
    """Without a checksum, which IPv4 allows."""
    payload = struct.pack("!HHHH", source_port, destination_port, 8 + size, 0) + bytes(size)
    return ipv4(source, destination, 17, payload, **options)


def tcp(source, source_port, destination, destination_port, flags, seq=1, ack=1, data=b""):
    """data: of an even length."""
    header = struct.pack("!HHIIBBHHH", source_port, destination_port, seq, ack, 5 << 4, flags, 1000, 0, 0)
    pseudo = socket.inet_aton(source) + socket.inet_aton(destination) + struct.pack("!HH", 6, len(header) + len(data))
    header = header[:16] + struct.pack("!H", checksum(pseudo + header + data)) + header[18:]
    return ipv4(source, destination, 6, header + data)


class Node:
    """A daemon that counts a tun device driven by the test."""

    def __init__(self, network, netlogd, ipv6=False, **options):
        self.namespace = network.namespace(ipv6)
        self.tun = Tun(network, self.namespace, **options)
        self.address = self.tun.address
        self.daemon = netlogd(self.namespace, {**CONFIG, "tun": {"interface": self.tun.interface}})

    def start(self):
        self.daemon.start(timeout=START)
        status = self.daemon.status()
        assert status["drops"]["state"] == "counting", status["drops"]
        return self

    def nft(self, rules):
        self.namespace.run("nft", "-f", "-", stdin=rules)

    def counter(self, name, family="ip", what="packets"):
        """Packets, or bytes, of a named counter of nftables."""
        text = self.namespace.run("nft", "-j", "list", "counter", family, "t", name).stdout
        return next(item["counter"][what] for item in json.loads(text)["nftables"] if "counter" in item)

    def window(self):
        """{(proto, src, dst): (txPkts, rxPkts, txDrops, rxDrops, reason)} of the window until now, dropped ones only."""
        seen = len(self.daemon.spool_messages())
        self.daemon.flush()
        found = {}
        for _, entry in entries(self.daemon.spool_messages()[seen:]):
            if entry.get("txDrops") or entry.get("rxDrops"):
                key = entry["proto"], entry["src"], entry["dst"]
                assert key not in found
                found[key] = tuple(entry.get(name, 0) for name in ("txPkts", "rxPkts", "txDrops", "rxDrops")) + (
                    entry.get("dropReason"),)
        return found

    def reasons(self):
        drops = self.daemon.status()["drops"]
        assert drops["errors"] == 0
        assert sum(reason["txPkts"] for reason in drops["reasons"]) == drops["txPkts"]
        assert sum(reason["rxPkts"] for reason in drops["reasons"]) == drops["rxPkts"]
        return {reason["reason"]: (reason["txPkts"], reason["rxPkts"]) for reason in drops["reasons"]}


@pytest.fixture
def node(network, netlogd):
    return Node(network, netlogd).start()


class Far:
    """The far end of a TCP connection, played by the test."""

    def __init__(self, node, port, near_port=20):
        self.node, self.port, self.near_port = node, port, near_port
        self.seq, self.ack = 1000, 0

    def send(self, flags, seq=None, data=b""):
        seq = self.seq if seq is None else seq
        self.node.tun.write(tcp(FAR, self.port, self.node.address, self.near_port, flags, seq, self.ack, data))
        self.seq = max(self.seq, seq + len(data) + (flags & (FIN | SYN) > 0))

    def expect(self, flags):
        """Waits for a packet with these flags and no others but PSH, and acknowledges it from then on."""
        def arrived():
            try:
                packet = os.read(self.node.tun.fd, 2048)
            except BlockingIOError:
                return False
            port, seq, _, offset, found = struct.unpack("!HIIBB", packet[22:34])
            if packet[9] != 6 or port != self.port or found & ~PSH != flags:
                return False
            self.ack = seq + len(packet) - 20 - (offset >> 4) * 4 + (flags & (FIN | SYN) > 0)
            return True
        wait_until(arrived, f"a packet with the flags {flags:#x}", fds=(self.node.tun.fd,))

    def open(self, server):
        self.send(SYN)
        self.expect(SYN | ACK)
        self.send(ACK)
        return server.accept()[0]
