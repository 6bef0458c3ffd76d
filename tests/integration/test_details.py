# SPDX-License-Identifier: BSD-3-Clause
"""How connections went: real TCP and UDP through a wireguard-go tunnel, counted by either source."""
import contextlib
import fcntl
import json
import os
import random
import re
import selectors
import socket
import struct
import termios
import threading
import time
from pathlib import Path

import pytest

from lib.answers import Answers
from lib.traffic import entries, send_udp, sums
from lib.tun import Tun
from lib.wait import wait_until

README = Path(__file__).parents[2] / "README.md"
SECOND = 10**9
FIN, SYN, RST, PSH, ACK = 0x01, 0x02, 0x04, 0x08, 0x10
DETAILS = ("init", "starts", "ends", "txFlags", "rxFlags", "txDrops", "rxDrops", "dropReason")


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


def test_datagrams_that_were_there_before(wireguard, daemon, clock):
    """Nobody knows who began them, however long they go on; what begins after a minute without them is known."""
    left, right = wireguard
    windows = Windows(daemon)
    for _ in range(4):
        # Before the daemon's first minute is over, and after it.
        send_udp(left, right, 1, 100, back=1)
        assert windows.next()[17, 40000, 40001] == {}
        clock.suspend(31 * SECOND)
        windows.next()
    # In the second minute, from either end, without a packet before.
    send_udp(left, right, 1, 100, back=1)
    send_udp(left, right, 1, 100, port_left=42000, port_right=42001, back=1)
    send_udp(right, left, 1, 100, port_left=43000, port_right=43001, back=1)
    window = windows.next()
    assert window[17, 40000, 40001] == {}
    assert window[17, 42000, 42001] == {"init": "src", "starts": 1}
    assert window[17, 43001, 43000] == {"init": "dst", "starts": 1}
    right.namespace.run("ping", "-n", "-c", "1", "-w", "20", left.address)
    assert windows.next()[1, 0, 0] == {"init": "dst", "starts": 1}


def test_the_minute_in_windows_of_the_usual_length(wireguard, netlogd, source, clock):
    """A conversation that begins 61 s after the daemon, in a window that began a minute after it; and one in a window
    that began before that, so that it may have spoken until then."""
    left, right = wireguard
    daemon = netlogd(left.namespace, {
        "tun": {"interface": left.interface, "source": source}, "sock": {"source": "none"},
        "record": {"period": "1h", "heartbeat": "0", "drops": "no"}}).start(env=clock.env)
    windows = Windows(daemon)
    for _ in range(11):
        clock.suspend(5 * SECOND)
        windows.next()
    send_udp(left, right, 1, 100, back=1)
    clock.suspend(5 * SECOND)
    assert windows.next()[17, 40000, 40001] == {}
    clock.suspend(1 * SECOND)
    send_udp(left, right, 1, 100, back=1)
    send_udp(left, right, 1, 100, port_left=42000, port_right=42001, back=1)
    clock.suspend(4 * SECOND)
    window = windows.next()
    assert window[17, 40000, 40001] == {}
    assert window[17, 42000, 42001] == {"init": "src", "starts": 1}


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


def serve(end, ports, stack):
    """Accepts on all ports; each connection is closed when its other end has closed it."""
    choice = selectors.DefaultSelector()
    stopped, stop = socket.socketpair()
    choice.register(stopped, selectors.EVENT_READ, "stop")
    for port in ports:
        with end.namespace.inside():
            listening = stack.enter_context(socket.create_server((end.address, port), backlog=500))
        choice.register(listening, selectors.EVENT_READ, "accept")

    def run():
        while True:
            for key, _ in choice.select():
                if key.data == "stop":
                    return
                if key.data == "accept":
                    choice.register(key.fileobj.accept()[0], selectors.EVENT_READ, "close")
                else:
                    choice.unregister(key.fileobj)
                    key.fileobj.close()

    thread = threading.Thread(target=run)
    for callback in stopped.close, choice.close, thread.join, stop.close:
        stack.callback(callback)
    thread.start()


def test_ten_thousand_short_connections(wireguard, netlogd):
    """To ten services; one end folds ports and the other does not. README has the figures."""
    left, right = wireguard
    number, ports = 10000, range(5000, 5010)
    daemons = [netlogd(end.namespace, {
        "tun": {"interface": end.interface}, "sock": {"source": "none"},
        "record": {"period": "1h", "fold-ports": fold, "drops": "no"}}).start() for end, fold in ((left, "yes"), (right, "no"))]
    with contextlib.ExitStack() as stack:
        serve(right, ports, stack)
        for i in range(number):
            with connect(left, right, ports[i % 10]) as sock:
                sock.shutdown(socket.SHUT_WR)
                assert sock.recv(1) == b""
    for end in wireguard:
        for port in ports:
            wait_until(lambda end=end, port=port: has_ended(end.namespace, port), "all ends")
    found = []
    for daemon in daemons:
        daemon.flush()
        messages = [message for message in daemon.spool_messages() if "virtualTraffic" in message]
        tcp = [entry for _, entry in entries(messages) if entry["proto"] == 6]
        assert sum(entry["starts"] for entry in tcp) == sum(entry["ends"] for entry in tcp) == number
        found.append((len(tcp), sum(len(json.dumps(message, separators=(",", ":"))) for message in messages)))
    folded, all_of_them = (daemon.status()["tun"]["lastConnections"] for daemon in daemons)
    assert folded == all_of_them >= found[1][0]
    print(f"10,000 connections to 10 services: {found[1][0]:,} entries, {found[1][1]:,} bytes; "
          f"with fold-ports {found[0][0]:,} entries, {found[0][1]:,} bytes")
    assert found[0][0] == 10 and found[1][0] > 0.9 * number
    assert found[0][1] < found[1][1] / 300


def test_reload_with_devices_that_start_has_named(wireguard, netlogd, source):
    """They stay; what is counted of them is the configuration's, and a reload loses no packet."""
    left, right = wireguard
    daemon = netlogd(left.namespace, {
        "netlogd": {"autostart": "no"}, "tun": {"source": "none"}, "sock": {"source": "none"},
        "record": {"period": "1h", "details": "no", "drops": "no"}}).start()
    daemon.call("Start", tun={"source": source, "interface": left.interface})
    windows = Windows(daemon)

    def run(number=5):
        with listener(right, 5000) as listening:
            for _ in range(number):
                a = connect(left, right, 5000)
                b, _ = listening.accept()
                a.close()
                assert b.recv(1) == b""
                b.close()
        wait_until(lambda: has_ended(left.namespace, 5000), "all ends")
        return windows.next()

    window = run()
    assert len(window) == 5 and not any(window.values())
    before = send_udp(left, right, 100, 100)
    daemon.configure({"record": {"details": "yes"}})
    daemon.call("Reload")
    after = send_udp(left, right, 100, 100)
    assert [details["starts"] for details in run().values() if "starts" in details] == [1] * 5
    counted = sums(daemon.spool_messages())[17, f"{left.address}:40000", f"{right.address}:40001"]
    assert (counted.txPkts, counted.txBytes) == (before.txPkts + after.txPkts, before.txBytes + after.txBytes)
    daemon.configure({"record": {"fold-ports": "yes", "drops": "yes"}, "tun": {"max-flows": "1000"}})
    daemon.call("Reload")
    windows.next()
    assert run()[6, 0, 5000]["starts"] == 5
    status = daemon.status()
    assert (status["drops"]["state"], status["tun"]["maxFlows"]) == ("counting", 1000)
    assert status["record"]["live"]["maxConnections"] == 2000
    assert (status["tun"]["source"], status["tun"]["interface"]) == (source, left.interface)
    assert status["record"]["conservationFailures"] == 0


def test_connections_are_counted_once(wireguard, netlogd, source):
    """A new one is handed over in parts: what each processor counted, and what is noted of its SYN."""
    left, right = wireguard
    daemon = netlogd(left.namespace, {
        "tun": {"interface": left.interface, "source": source}, "sock": {"source": "none"},
        "record": {"period": "1h", "drops": "no"}}).start()
    windows = Windows(daemon)
    windows.next()
    with listener(right, 5000) as listening, contextlib.ExitStack() as stack:
        for _ in range(20):
            stack.enter_context(connect(left, right, 5000))
            stack.enter_context(listening.accept()[0])
        window = windows.next()
        assert sum(key[2] == 5000 for key in window) == 20
        status = daemon.status()
        assert status["tun"]["lastConnections"] == status["window"]["lastConnections"] == len(window)
        metrics = daemon.call("Metrics")["text"]
        assert f'netlogd_device_connections{{device="tun"}} {len(window)}\n' in metrics


def test_the_maps_take_no_more_than_readme_says(network, netlogd):
    tun = Tun(network, network.namespace())
    table = re.findall(r"^\| ([\d,]+)(?: \(the default\))? \| ([\d,]+) \| ([\d,]+) \|", README.read_text(), re.M)
    rows = [[int(cell.replace(",", "")) for cell in row] for row in table]
    assert len(rows) >= 5
    for max_flows, *most in rows:
        for details, at_most in zip(("no", "yes"), most):
            if max_flows > 300000:
                continue
            daemon = netlogd(tun.namespace, {
                "tun": {"interface": tun.interface, "source": "ebpf", "max-flows": max_flows}, "sock": {"source": "none"},
                "record": {"details": details, "drops": "no"}}).start()
            memory = daemon.status()["tun"]["memory"] / (1 << 20)
            daemon.stop()
            assert at_most / 2 < memory <= at_most, (max_flows, details)


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


def test_a_syn_of_the_other_end(network, netlogd, source):
    """In an open connection: the kernel only acknowledges, and the connection goes on as who opened it; in the same
    window, and in later ones."""
    tun = Tun(network, network.namespace())
    daemon = netlogd(tun.namespace, {
        "tun": {"interface": tun.interface, "source": source}, "sock": {"source": "none"},
        "record": {"period": "1h", "drops": "no"}}).start()
    windows = Windows(daemon)
    far = ("100.64.0.9", 5000)

    def answer():
        return wait_until(lambda: read_tcp(tun.fd), "the answer")

    def check(near, sock):
        port = near[1]
        sock.bind(near)
        sock.setblocking(False)
        sock.connect_ex(far)
        number = struct.unpack("!I", answer()[24:28])[0] + 1
        tun.write(tcp_packet(far, near, SYN | ACK, 100, number))
        assert answer()[33] == ACK
        if port == 40000:
            assert windows.next()[6, port, 5000] == {
                "init": "src", "starts": 1, "txFlags": SYN | ACK, "rxFlags": SYN | ACK}
        tun.write(tcp_packet(far, near, SYN, 7777))
        assert answer()[33] == ACK
        window = windows.next()[6, port, 5000]
        assert ("init" in window, window["starts"]) == (False, 1 if port == 40000 else 2)
        for _ in range(2):
            sock.send(b"x")
            assert answer()[33] == PSH | ACK
            number += 1
            tun.write(tcp_packet(far, near, ACK, 101, number))
            assert windows.next()[6, port, 5000] == {"init": "src", "txFlags": PSH | ACK, "rxFlags": ACK}
    with tun.namespace.inside(), socket.socket() as a, socket.socket() as b:
        check((tun.address, 40000), a)
        check((tun.address, 40001), b)


@pytest.mark.parametrize("max_flows", [4096, 65536])
def test_a_flood_of_syns(network, netlogd, source, max_flows):
    """From random ports, never answered: what is remembered stays bounded, what was answered is still known, and the
    control socket answers as fast as ever."""
    tun = Tun(network, network.namespace())
    daemon = netlogd(tun.namespace, {
        "tun": {"interface": tun.interface, "source": source, "max-flows": max_flows}, "sock": {"source": "none"},
        "record": {"period": "200ms"}}).start()
    choose = random.Random(max_flows)
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
            sent = 0
            floods = []
            for _ in range(3):
                end = time.monotonic() + 1
                with Answers(daemon.control_socket) as answers:
                    while time.monotonic() < end:
                        for _ in range(5000):
                            # To nobody here.
                            ends = [(host, choose.randrange(1, 65536)) for host in ("100.64.1.1", "100.64.2.2")]
                            tun.write(tcp_packet(*ends, SYN, sent))
                            sent += 1
                        live = daemon.status()["record"]["live"]
                        assert live["maxConnections"] == 2 * max_flows
                        assert live["connections"] <= 2 * max_flows * 1.6 + 4
                        assert live["memory"] <= 2 * max_flows * 26 + 8192
                floods.append(answers)
            # A window that held up the loop would do so in each of them; a busy machine now and then.
            min(floods, key=lambda answers: answers.worst).check(f"the best of three floods, {sent} SYNs", limit=50)
            tun.write(tcp_packet(client, server, ACK, 101, number))
            daemon.flush()
    status = daemon.status()
    daemon.stop()
    assert sent > 10000
    if max_flows == 4096:
        assert status["record"]["live"]["forgotten"] > 0
    assert status["record"]["conservationFailures"] == 0
    key = ("100.64.0.1:5000", "100.64.0.9:1234")
    seen = [entry for _, entry in entries(daemon.spool_messages()) if (entry["src"], entry["dst"]) == key]
    assert sum(entry.get("starts", 0) for entry in seen) == 1
    assert len(seen) >= 2 and all(entry["init"] == "dst" for entry in seen)
