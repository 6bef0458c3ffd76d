# SPDX-License-Identifier: BSD-3-Clause
"""How connections went: real TCP and UDP through a wireguard-go tunnel, counted by either source."""
import contextlib
import fcntl
import os
import socket
import struct
import termios
import time

import pytest

from lib.clock import ShiftedClock
from lib.traffic import entries, send_udp
from lib.tun import Tun
from lib.wait import wait_until

SECOND = 10**9
FIN, SYN, RST, PSH, ACK = 0x01, 0x02, 0x04, 0x08, 0x10
DETAILS = ("init", "starts", "ends", "txFlags", "rxFlags", "txDrops", "rxDrops", "dropReason")


@pytest.fixture
def clock(directory):
    return ShiftedClock(directory / "clock")


@pytest.fixture(params=["ebpf", "packet"])
def source(request):
    return request.param


@pytest.fixture
def daemon(wireguard, netlogd, source, clock):
    """Counts the left end; the test ends its windows."""
    left, _ = wireguard
    return netlogd(left.namespace, {
        "tun": {"interface": left.interface, "source": source}, "sock": {"source": "none"},
        "record": {"period": "1h", "heartbeat": "0", "drops": "no"}}).start(env=clock.env)


@contextlib.contextmanager
def listener(end, port):
    with end.namespace.inside():
        with socket.create_server((end.address, port)) as server:
            server.settimeout(20)
            yield server


def connect(end, other, port, port_from=0):
    with end.namespace.inside():
        sock = socket.socket()
    sock.settimeout(20)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    sock.bind((end.address, port_from))
    sock.connect((other.address, port))
    return sock


def send(sock, other):
    """A byte, and waits until it has arrived and its acknowledgement has come back."""
    sock.sendall(b"x")
    assert other.recv(1) == b"x"
    wait_until(lambda: not struct.unpack("i", fcntl.ioctl(sock, termios.TIOCOUTQ, bytes(4)))[0], "the acknowledgement")


def has_ended(namespace, port):
    """Whether the kernel has no connection of a port whose end has not gone both ways."""
    return not namespace.run("ss", "-Htn", "exclude", "time-wait", f"( sport = :{port} or dport = :{port} )").stdout


class Windows:
    """The details of one connection after the other, window by window."""

    def __init__(self, daemon):
        self.daemon = daemon
        self.seen = 0

    def next(self):
        """{(proto, source port, destination port): details} of the window that ends now."""
        self.daemon.flush()
        messages = self.daemon.spool_messages()
        new, self.seen = messages[self.seen:], len(messages)
        return {(entry["proto"], int(entry["src"].rpartition(":")[2]), int(entry["dst"].rpartition(":")[2])):
                {name: entry[name] for name in DETAILS if name in entry} for _, entry in entries(new)}


def test_a_connection_from_either_end(wireguard, daemon):
    left, right = wireguard
    windows = Windows(daemon)
    for number, (client, server) in enumerate([(left, right), (right, left)]):
        init, here, there = ("src", "tx", "rx") if number == 0 else ("dst", "rx", "tx")

        def key(port, number=number):
            return (6, port, 5000) if number == 0 else (6, 5000, port)

        with listener(server, 5000) as listening:
            a = connect(client, server, 5000, 40000)
            b, _ = listening.accept()
            assert windows.next()[key(40000)] == {
                "init": init, "starts": 1, f"{here}Flags": SYN | ACK, f"{there}Flags": SYN | ACK}
            # It only goes on.
            for _ in range(2):
                send(a, b)
                assert windows.next()[key(40000)] == {"init": init, f"{here}Flags": PSH | ACK, f"{there}Flags": ACK}
            # Half closed, it lives on; the second FIN ends nothing.
            a.shutdown(socket.SHUT_WR)
            assert b.recv(1) == b""
            window = windows.next()[key(40000)]
            assert (window["init"], window.get("starts"), window["ends"]) == (init, None, 1)
            assert window[f"{here}Flags"] == FIN | ACK
            send(b, a)
            assert windows.next()[key(40000)] == {"init": init, f"{there}Flags": PSH | ACK, f"{here}Flags": ACK}
            b.close()
            assert a.recv(1) == b""
            a.close()
            window = windows.next()[key(40000)]
            assert (window["init"], window.get("ends"), window[f"{there}Flags"] & FIN) == (init, None, FIN)
    assert daemon.status()["record"]["live"]["forgotten"] == 0


def test_refused_reset_and_used_again(wireguard, daemon):
    left, right = wireguard
    windows = Windows(daemon)
    with pytest.raises(ConnectionRefusedError):
        connect(left, right, 5000, 40000)
    with pytest.raises(ConnectionRefusedError):
        connect(right, left, 5000, 40001)
    with listener(right, 5001) as listening:
        # Three connections of one pair of ports in one window, each reset by the end that opened it.
        for _ in range(3):
            a = connect(left, right, 5001, 40002)
            b, _ = listening.accept()
            a.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            a.close()
            with pytest.raises(ConnectionResetError):
                b.recv(1)
            b.close()
    window = windows.next()
    assert window[6, 40000, 5000] == {"init": "src", "starts": 1, "ends": 1, "txFlags": SYN, "rxFlags": RST | ACK}
    assert window[6, 5000, 40001] == {"init": "dst", "starts": 1, "ends": 1, "txFlags": RST | ACK, "rxFlags": SYN}
    again = window[6, 40002, 5001]
    assert (again["init"], again["starts"], again["ends"]) == ("src", 3, 3)
    assert again["txFlags"] & (SYN | RST) == SYN | RST


def test_there_before_the_daemon(wireguard, netlogd, source):
    left, right = wireguard
    with listener(right, 5000) as listening, connect(left, right, 5000, 40000) as a:
        b, _ = listening.accept()
        daemon = netlogd(left.namespace, {
            "tun": {"interface": left.interface, "source": source}, "sock": {"source": "none"},
            "record": {"period": "1h", "drops": "no"}}).start()
        windows = Windows(daemon)
        send(a, b)
        assert windows.next()[6, 40000, 5000] == {"txFlags": PSH | ACK, "rxFlags": ACK}
        b.close()
        assert a.recv(1) == b""
        a.close()
        wait_until(lambda: has_ended(left.namespace, 5000), "the connection's end")
        window = windows.next()[6, 40000, 5000]
        assert ("init" in window, "starts" in window, window["ends"]) == (False, False, 1)


def test_datagrams(wireguard, daemon, clock):
    left, right = wireguard
    windows = Windows(daemon)
    # It may have spoken before the daemon counted.
    send_udp(left, right, 3, 100, back=1)
    assert windows.next()[17, 40000, 40001] == {}
    clock.suspend(61 * SECOND)
    windows.next()
    send_udp(left, right, 3, 100, back=1)
    send_udp(right, left, 3, 100, port_left=41000, port_right=41001, back=1)
    window = windows.next()
    assert window[17, 40000, 40001] == {"init": "src", "starts": 1}
    assert window[17, 41001, 41000] == {"init": "dst", "starts": 1}
    # The other end speaks first, but nothing begins.
    send_udp(right, left, 1, 100, port_left=40001, port_right=40000)
    assert windows.next()[17, 40000, 40001] == {"init": "src"}
    clock.suspend(61 * SECOND)
    windows.next()
    send_udp(right, left, 1, 100, port_left=40001, port_right=40000)
    assert windows.next()[17, 40000, 40001] == {"init": "dst", "starts": 1}


def test_a_syn_that_is_sent_again(wireguard, daemon):
    """Into a listener whose queue is full: the kernel sends SYNs of one number, one and three seconds later."""
    left, right = wireguard
    windows = Windows(daemon)
    with right.namespace.inside():
        deaf = socket.socket()
    with deaf, contextlib.ExitStack() as stack:
        deaf.bind((right.address, 5000))
        deaf.listen(0)
        stack.enter_context(connect(left, right, 5000))
        with left.namespace.inside():
            waiting = stack.enter_context(socket.socket())
        waiting.bind((left.address, 40000))
        waiting.setblocking(False)
        assert waiting.connect_ex((right.address, 5000)) != 0
        assert windows.next()[6, 40000, 5000] == {"init": "src", "starts": 1, "txFlags": SYN}

        def again():
            return windows.next().get((6, 40000, 5000))
        assert wait_until(again, "another SYN") == {"init": "src", "txFlags": SYN}


def test_folded_ports_and_reload(wireguard, netlogd, source):
    left, right = wireguard
    daemon = netlogd(left.namespace, {
        "tun": {"interface": left.interface, "source": source}, "sock": {"source": "none"},
        "record": {"period": "1h", "fold-ports": "yes", "drops": "no"}}).start()
    windows = Windows(daemon)

    def run(number):
        for port in (5000, 5001):
            with listener(right, port) as listening:
                for _ in range(number):
                    a = connect(left, right, port)
                    b, _ = listening.accept()
                    a.close()
                    assert b.recv(1) == b""
                    b.close()
            wait_until(lambda port=port: has_ended(left.namespace, port), "all ends")
    run(100)
    window = windows.next()
    assert set(window) == {(6, 0, 5000), (6, 0, 5001)}
    for details in window.values():
        assert (details["init"], details["starts"], details["ends"]) == ("src", 100, 100)
    daemon.configure({"record": {"fold-ports": "no", "details": "no"}})
    daemon.call("Reload")
    windows.next()
    run(5)
    window = windows.next()
    assert len(window) == 10 and not any(window.values())
    assert "live" not in daemon.status()["record"]
    daemon.configure({"record": {"details": "yes"}})
    daemon.call("Reload")
    windows.next()
    run(5)
    assert [details["starts"] for details in windows.next().values()] == [1] * 10


def tcp_packet(source, destination, flags, seq, ack=0):
    """An IPv4 packet with a TCP header; source and destination as (address, port)."""
    def checksum(data):
        total = sum(struct.unpack(f"!{len(data) // 2}H", data))
        total = (total & 0xFFFF) + (total >> 16)
        return ~(total + (total >> 16)) & 0xFFFF

    addresses = socket.inet_aton(source[0]) + socket.inet_aton(destination[0])
    ports = struct.pack("!HHIIBBH", source[1], destination[1], seq, ack, 5 << 4, flags, 65535)
    tcp = ports + struct.pack("!HH", checksum(addresses + struct.pack("!HH", 6, 20) + ports + bytes(4)), 0)
    ip = struct.pack("!BBHHHBBH", 0x45, 0, 40, 0, 0, 64, 6, 0) + addresses
    return ip[:10] + struct.pack("!H", checksum(ip)) + ip[12:] + tcp


def read_tcp(fd):
    """A TCP packet from the tunnel, if there is one."""
    with contextlib.suppress(BlockingIOError):
        while True:
            packet = os.read(fd, 2048)
            if packet[0] >> 4 == 4 and packet[9] == 6:
                return packet
    return None


def test_a_flood_of_syns(network, netlogd, source):
    """From random ports, never answered: what is remembered stays bounded, and what was answered is still known."""
    tun = Tun(network, network.namespace())
    daemon = netlogd(tun.namespace, {
        "tun": {"interface": tun.interface, "source": source, "max-flows": 4096}, "sock": {"source": "none"},
        "record": {"period": "200ms"}}).start()
    client, server = ("100.64.0.9", 1234), ("100.64.0.1", 5000)
    with tun.namespace.inside(), socket.create_server(server) as listening:
        listening.settimeout(20)
        tun.write(tcp_packet(client, server, SYN, 100))
        answer = wait_until(lambda: read_tcp(tun.fd), "the answer")
        assert answer[33] == SYN | ACK
        number = struct.unpack("!I", answer[24:28])[0] + 1
        tun.write(tcp_packet(client, server, ACK, 101, number))
        with listening.accept()[0]:
            daemon.flush()
            end = time.monotonic() + 3
            sent = 0
            slowest = 0.0
            while time.monotonic() < end:
                for _ in range(5000):
                    # To nobody here.
                    tun.write(tcp_packet(("100.64.1.1", sent % 65535 + 1), ("100.64.2.2", 80 + sent // 65535), SYN, sent))
                    sent += 1
                begin = time.monotonic()
                live = daemon.status()["record"]["live"]
                slowest = max(slowest, time.monotonic() - begin)
                assert live["maxConnections"] == 8192
                assert live["connections"] <= 8192 * 1.6 + 4
                assert live["memory"] <= 8192 * 26 + 8192
            assert slowest < 1
            tun.write(tcp_packet(client, server, ACK, 101, number))
            daemon.flush()
    status = daemon.status()
    daemon.stop()
    assert sent > 10000 and status["record"]["live"]["forgotten"] > 0
    assert status["record"]["conservationFailures"] == 0
    key = ("100.64.0.1:5000", "100.64.0.9:1234")
    seen = [entry for _, entry in entries(daemon.spool_messages()) if (entry["src"], entry["dst"]) == key]
    assert sum(entry.get("starts", 0) for entry in seen) == 1
    assert len(seen) >= 2 and all(entry["init"] == "dst" for entry in seen)
