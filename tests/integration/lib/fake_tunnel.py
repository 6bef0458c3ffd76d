# SPDX-License-Identifier: BSD-3-Clause
"""A userspace WireGuard whose counters the test sets."""
import contextlib
import os
import socket
import threading

from .network import WIREGUARD_SOCKETS
from .tun import Tun


class FakeTunnel:
    """A userspace WireGuard that says what the test wants, and a UDP socket that is its own."""

    def __init__(self, network, namespace, peers, family=socket.AF_INET, port=51820):
        self.namespace = namespace
        self.interface = Tun(network, namespace, "100.64.0.1/24").interface
        self.peers = peers
        self.port = port
        with namespace.inside():
            self.udp = socket.socket(family, socket.SOCK_DGRAM)
            self.udp.bind(("", port))
        os.makedirs(WIREGUARD_SOCKETS, exist_ok=True)
        self.path = f"{WIREGUARD_SOCKETS}/{self.interface}.sock"
        self.socket = self.thread = None
        self.begin()
        network.stack.callback(self.close)

    def begin(self):
        """Serves its socket, again after end()."""
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.bind(self.path)
        self.socket.listen()
        self.thread = threading.Thread(target=self.serve)
        self.thread.start()

    def serve(self):
        with contextlib.suppress(OSError):
            while True:
                client, _ = self.socket.accept()
                with client:
                    client.recv(100)
                    client.sendall(self.answer().encode())

    def answer(self):
        lines = [f"listen_port={self.port}"]
        for place, peer in enumerate(self.peers, 1):
            number = peer.get("number", place)
            address = (100 << 24 | 64 << 16 | 1) + number
            lines += [f"public_key={number:064x}",
                      f"allowed_ip={address >> 24}.{address >> 16 & 255}.{address >> 8 & 255}.{address & 255}/32"]
            lines += [f"{name}={peer[name]}" for name in ("endpoint", "tx_bytes", "rx_bytes") if name in peer]
        return "\n".join([*lines, "errno=0", "", ""])

    def send(self, number, destination, count, size):
        for _ in range(count):
            self.udp.sendto(bytes(size), destination)
        self.peers[number]["tx_bytes"] += count * size

    def end(self):
        """As when its process ends, but the interface stays."""
        self.socket.shutdown(socket.SHUT_RDWR)
        self.thread.join()
        self.socket.close()
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self.path)

    def close(self):
        if self.thread.is_alive():
            self.end()
        self.udp.close()


def peer(endpoint=None):
    return {"tx_bytes": 0, "rx_bytes": 0, **({"endpoint": endpoint} if endpoint else {})}
