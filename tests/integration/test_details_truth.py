# SPDX-License-Identifier: BSD-3-Clause
"""Details against others' words: conntrack's events for a thousand connections, and nmap's scans."""
import collections
import contextlib
import random
import re
import shutil
import socket
import struct
import threading

import pytest

from lib.traffic import entries
from lib.wait import wait_until

FIN, SYN, RST, PSH, ACK, URG = 0x01, 0x02, 0x04, 0x08, 0x10, 0x20
EVENT = re.compile(r"\[(NEW|UPDATE|DESTROY)\] tcp +6 (?:\d+ )?([A-Z_0-9]+)? ?src=(\S+) dst=(\S+) sport=(\d+) dport=(\d+)")
CLOSING = ("FIN_WAIT", "CLOSE_WAIT", "LAST_ACK", "TIME_WAIT", "CLOSE")
LINGER_NOT = struct.pack("ii", 1, 0)
PORTS = range(5000, 5004)
REFUSED, KNOCKS = 5100, 5200
CONNECTIONS = 250  # of each end


@pytest.fixture(params=["ebpf", "packet"])
def daemon(request, wireguard, netlogd):
    left, _ = wireguard
    return netlogd(left.namespace, {
        "tun": {"interface": left.interface, "source": request.param}, "sock": {"source": "none"},
        "record": {"period": "500ms"}})


def sums(daemon):
    """{(src, dst): [starts, ends, {init}, txFlags, rxFlags]} of TCP, over all windows."""
    result = collections.defaultdict(lambda: [0, 0, set(), 0, 0])
    for _, entry in entries(daemon.spool_messages()):
        if entry["proto"] != 6:
            continue
        found = result[entry["src"], entry["dst"]]
        found[0] += entry.get("starts", 0)
        found[1] += entry.get("ends", 0)
        found[2] |= {entry["init"]} if "init" in entry else set()
        found[3] |= entry.get("txFlags", 0)
        found[4] |= entry.get("rxFlags", 0)
    return result


class Server:
    """Answers each connection as the first byte that it receives says, and holds some open."""

    def __init__(self, end, stack):
        self.held = []
        for port in PORTS:
            with end.namespace.inside():
                listening = stack.enter_context(socket.create_server((end.address, port), backlog=500))
            thread = threading.Thread(target=self._serve, args=(listening,))
            stack.callback(thread.join)
            stack.callback(listening.shutdown, socket.SHUT_RDWR)
            thread.start()
        stack.callback(lambda: [sock.close() for sock in self.held])

    def _serve(self, listening):
        while True:
            try:
                sock, _ = listening.accept()
            except OSError:
                return
            with contextlib.suppress(OSError):
                what = sock.recv(1)
                if what == b"h":
                    self.held.append(sock)
                    continue
                if what == b"r":
                    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, LINGER_NOT)
            sock.close()


def run_clients(end, other, seed, held):
    """Connections that end in every way, or not yet."""
    choose = random.Random(seed)
    for _ in range(CONNECTIONS):
        how = choose.choice(["client", "server", "client resets", "server resets", "refused", "held", "half", "deaf"])
        with end.namespace.inside():
            sock = socket.socket()
        sock.settimeout(20)
        if how == "deaf":
            # Nobody has this address.
            sock.setblocking(False)
            with contextlib.suppress(OSError):
                sock.connect(("100.64.0.99", 5000))
            held.append(sock)
            continue
        with contextlib.suppress(ConnectionError):
            sock.connect((other.address, REFUSED if how == "refused" else choose.choice(PORTS)))
            if how == "client resets":
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, LINGER_NOT)
            elif how in ("held", "half"):
                sock.sendall(b"h")
                held.append(sock)
                if how == "half":
                    sock.shutdown(socket.SHUT_WR)
                continue
            elif how != "client":
                sock.sendall(b"r" if how == "server resets" else b"s")
                sock.recv(1)
        sock.close()


@pytest.mark.skipif(not shutil.which("conntrack"), reason="conntrack is not installed")
def test_conntracks_events(wireguard, daemon):
    left, right = wireguard
    for name in (left, right):
        # So that the address of nobody goes into the tunnel.
        name.namespace.ip("route", "replace", "100.64.0.99/32", "dev", name.interface)
    left.namespace.run("nft", "add table inet nl; add chain inet nl c { type filter hook input priority 0; }; "
                       "add rule inet nl c ct state invalid counter")
    daemon.start()
    with contextlib.ExitStack() as stack:
        # First of all, and with room for all events, some KiB each: the kernel does not wait for it.
        events = left.namespace.start("nice", "-n", "-19", "stdbuf", "-oL", "conntrack", "-E", "-p", "tcp",
                                      "--buffer-size", 512 << 20, name="conntrack")
        stack.callback(events.terminate)
        servers = [Server(end, stack) for end in (left, right)]
        held = []
        stack.callback(lambda: [sock.close() for sock in held])
        wait_until(lambda: knock(left, right) and EVENT.search(events.text()), "conntrack's first event")
        clients = [threading.Thread(target=run_clients, args=(*ends, seed, held))
                   for seed, ends in enumerate([(left, right), (right, left)] * 2)]
        for client in clients:
            client.start()
        for client in clients:
            client.join()
        assert servers[0].held and servers[1].held
        # The last packets may still be on their way.
        with contextlib.suppress(TimeoutError):
            wait_until(lambda: not compare(daemon, events, left)[1], "both to say the same")
        if has_lost_events(events, left):
            pytest.skip("conntrack was too slow for its events")
        expected, differences = compare(daemon, events, left)
        assert differences == {}
    assert len(expected) > 3 * CONNECTIONS
    assert sum(starts for starts, _, _ in expected.values()) >= 3 * CONNECTIONS
    daemon.stop()


def has_lost_events(events, end):
    """By its own word, or by the kernel's list of netlink sockets: the protocol, and packets dropped."""
    sockets = [line.split() for line in end.namespace.run("cat", "/proc/net/netlink").stdout.splitlines()[1:]]
    return "ENOBUFS" in events.text() or any(int(line[8]) > 0 for line in sockets if line[1] == "12")


def knock(end, other):
    """A connection that is not compared: conntrack may not listen yet."""
    with end.namespace.inside():
        sock = socket.socket()
    with sock, contextlib.suppress(ConnectionRefusedError):
        sock.connect((other.address, KNOCKS))
    return True


def conntracks_word(text, own):
    """{(src, dst) as in entries: (starts, ends, init)} of all events."""
    result = collections.defaultdict(lambda: [0, 0, None, False])
    for kind, state, source, destination, sport, dport in EVENT.findall(text):
        init = "src" if source == own else "dst"
        here, there = f"{source}:{sport}", f"{destination}:{dport}"
        found = result[(here, there) if init == "src" else (there, here)]
        if kind == "NEW":
            found[0] += 1
            found[2] = init if found[2] in (None, init) else "both"
            found[3] = False
        elif (state in CLOSING or kind == "DESTROY") and not found[3]:
            found[1] += 1
            found[3] = True
    return {key: tuple(value[:3]) for key, value in result.items()}


def compare(daemon, events, left):
    """What conntrack says, and {connection: (conntrack's word, netlogd's)} where they differ."""
    daemon.flush()
    seen = {key: (value[0], value[1], "/".join(value[2])) for key, value in sums(daemon).items()}
    said = conntracks_word(events.text(), left.address)
    return said, {key: (said.get(key), seen.get(key)) for key in said.keys() | seen.keys()
                  if said.get(key) != seen.get(key) and not key[1].endswith(f":{KNOCKS}")}


@pytest.mark.skipif(not shutil.which("nmap"), reason="nmap is not installed")
@pytest.mark.parametrize("option, sent, starts, init", [
    ("-sS", SYN, 1, {"src"}), ("-sF", FIN, 0, set()), ("-sX", FIN | PSH | URG, 0, set()), ("-sN", 0, 0, set()),
    ("-sA", ACK, 0, set()), ("--scanflags=SYNACK", SYN | ACK, 0, set())])
def test_scans(wireguard, daemon, option, sent, starts, init):
    left, right = wireguard
    daemon.start()
    left.namespace.run("nmap", option, "-n", "-Pn", "-g", "40000", "-p", "5000-5099", "--max-retries", "0", "-e",
                       left.interface, right.address)
    daemon.flush()
    seen = {key[1]: value for key, value in sums(daemon).items() if key[0] == f"{left.address}:40000"}
    daemon.stop()
    assert set(seen) == {f"{right.address}:{port}" for port in range(5000, 5100)}
    for found in seen.values():
        # Each is refused: one end, by RST.
        assert (found[0], found[1], found[2], found[3]) == (starts, 1, init, sent)
        assert found[4] in (RST, RST | ACK)
