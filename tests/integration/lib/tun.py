# SPDX-License-Identifier: BSD-3-Clause
"""A tun device driven by the test: the kernel receives what the test writes."""
import fcntl
import os
import socket
import struct

TUNSETIFF = 0x400454CA
IFF_TUN = 0x0001
IFF_NAPI = 0x0010
IFF_NO_PI = 0x1000


def udp_packet(source, destination, port=40000, port_there=40001):
    """An empty datagram, whose own checksum nobody checks."""
    header = struct.pack("!BBHIBBH4s4s", 0x45, 0, 28, 0, 64, socket.IPPROTO_UDP, 0, socket.inet_aton(source),
                         socket.inet_aton(destination))
    # RFC 1071.
    checksum = sum(struct.unpack("!10H", header))
    checksum = ~((checksum & 0xffff) + (checksum >> 16)) & 0xffff
    return header[:10] + checksum.to_bytes(2, "big") + header[12:] + struct.pack("!4H", port, port_there, 8, 0)


class Tun:
    def __init__(self, network, namespace, address="100.64.0.1/16", address6=None, mtu=1500, interface=None, flags=0):
        self.namespace = namespace
        self.interface = interface or network.interface_name("tu")
        self.address = address.split("/")[0]
        with namespace.inside():
            self.fd = os.open("/dev/net/tun", os.O_RDWR | os.O_CLOEXEC | os.O_NONBLOCK)
            fcntl.ioctl(self.fd, TUNSETIFF, struct.pack("16sH22x", self.interface.encode(), IFF_TUN | IFF_NO_PI | flags))
        network.stack.callback(self.close)
        namespace.ip("link", "set", self.interface, "mtu", str(mtu), "addrgenmode", "none")
        namespace.ip("address", "add", address, "dev", self.interface)
        if address6:
            namespace.ip("address", "add", address6, "dev", self.interface, "nodad")
        namespace.ip("link", "set", self.interface, "up")

    def write(self, packet):
        assert os.write(self.fd, packet) == len(packet)

    def close(self):
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1
