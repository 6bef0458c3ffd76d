# SPDX-License-Identifier: BSD-3-Clause
"""Traffic whose packets and bytes are known exactly, and sums over messages to compare it with."""
import calendar
import collections
import contextlib
import json
import os
import socket
import time

from .wait import wait_until

CLASSES = ("virtualTraffic", "subnetTraffic", "exitTraffic", "physicalTraffic")
COUNTS = ("txPkts", "txBytes", "rxPkts", "rxBytes")
SO_RCVBUFFORCE = 33  # asm-generic/socket.h; Python has no name for it
UDP4_HEADERS = 20 + 8
UDP6_HEADERS = 40 + 8

Counts = collections.namedtuple("Counts", COUNTS)


@contextlib.contextmanager
def udp_socket(namespace, address, port=0):
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with namespace.inside():
        sock = socket.socket(family, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
    try:
        sock.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 64 << 20)
        sock.bind((address, port))
        yield sock
    finally:
        sock.close()


def send_udp(left, right, count, size, port_left=40000, port_right=40001, window=32, back=0, ipv6=False):
    """Sends count datagrams of size bytes from left to right (Tunnel ends), and `back` of them the other way.

    Waits for every one, window by window, so that none is dropped on the way. Returns what left's tunnel device must
    have counted for this connection.
    """
    addresses = (left.address6, right.address6) if ipv6 else (left.address, right.address)
    headers = UDP6_HEADERS if ipv6 else UDP4_HEADERS
    payload = bytes(size)
    with udp_socket(left.namespace, addresses[0], port_left) as a, \
            udp_socket(right.namespace, addresses[1], port_right) as b:
        for source, target, destination, number in (a, b, (addresses[1], port_right), count), \
                (b, a, (addresses[0], port_left), back):
            target.settimeout(20)
            sent = received = 0
            while received < number:
                while sent < number and sent - received < window:
                    source.sendto(payload, destination)
                    sent += 1
                data = target.recv(65536)
                assert len(data) == size
                received += 1
    return Counts(count, count * (size + headers), back, back * (size + headers))


def connection_key(proto, source, source_port, destination, destination_port):
    def text(address, port):
        return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"
    return proto, text(source, source_port), text(destination, destination_port)


def entries(messages, classes=CLASSES):
    for message in messages:
        for name in classes:
            for entry in message.get(name, ()):
                yield name, entry


def sums(messages, classes=CLASSES):
    """{(proto, src, dst): Counts} over all messages."""
    total = collections.defaultdict(lambda: [0, 0, 0, 0])
    for _, entry in entries(messages, classes):
        counts = total[(entry["proto"], entry["src"], entry["dst"])]
        for index, name in enumerate(COUNTS):
            counts[index] += entry.get(name, 0)
    return {key: Counts(*counts) for key, counts in total.items()}


def total(messages, classes=CLASSES, overflow=False):
    """The sum of all entries; with overflow, also of what did not fit in the tun layer."""
    result = [0, 0, 0, 0]
    for counts in sums(messages, classes).values():
        result = [a + b for a, b in zip(result, counts)]
    if overflow:
        for message in messages:
            lost = message.get("overflow", {}).get("tun", {})
            result = [a + lost.get(name, 0) for a, name in zip(result, COUNTS)]
    return Counts(*result)


def nanoseconds(text):
    """A message's time in nanoseconds since 1970."""
    whole, _, fraction = text.rstrip("Z").partition(".")
    seconds = calendar.timegm(time.strptime(whole, "%Y-%m-%dT%H:%M:%S"))
    return seconds * 10**9 + int(fraction.ljust(9, "0"))


def texts(messages):
    return [message["text"] for message in messages if "text" in message]


class Iperf3:
    """An iperf3 run between two ends of a tunnel; result() is what the client reports."""

    def __init__(self, server, client, *options, port=5201, ipv6=False):
        server_address, client_address = (end.address6 if ipv6 else end.address for end in (server, client))
        self.server = server.namespace.start("iperf3", "-s", "-1", "-p", port, "-B", server_address, name="iperf3-server")
        wait_for_listener(server.namespace, port)
        self.client = client.namespace.start("iperf3", "-c", server_address, "-B", client_address, "-p", port, "-J",
                                             *options, name="iperf3-client")

    def result(self, timeout=120.0):
        status = self.client.wait(timeout)
        text = self.client.text()
        assert status == 0, text
        self.server.wait(20)
        # It may print a warning first.
        return json.loads(text[text.index("{"):])


def wait_for_listener(namespace, port):
    def listening():
        return str(port) in namespace.run("ss", "-Hltn", f"sport = :{port}").stdout
    wait_until(listening, f"a listener on port {port}")


class Flood:
    """UDP at full speed from the given CPUs, one process each; result() is how many packets they sent together."""

    def __init__(self, namespace, source, destination, seconds, cpus, size=100, ports=8, change=0):
        path = os.path.join(os.path.dirname(__file__), "flood.py")
        self.senders = []
        for number, cpu in enumerate(cpus):
            first = 20000 + number * 5000
            # Ports of their own for each pair: two processes must not share one.
            source_address = source[number] if isinstance(source, (list, tuple)) else source
            self.senders.append(namespace.start(
                "/usr/bin/python3", "-B", path, cpu, seconds, size, source_address, destination, first, ports, change,
                name="flood"))

    @property
    def running(self):
        return any(sender.running for sender in self.senders)

    def result(self, timeout=120.0):
        sent = 0
        for sender in self.senders:
            status = sender.wait(timeout)
            assert status == 0, sender.text()
            sent += int(sender.text())
        return sent
