# SPDX-License-Identifier: BSD-3-Clause
"""netlogctl over real connections: told from the end that opened them, and how each went."""
import contextlib
import os
import pty
import re
import shutil
import socket
import subprocess
import termios

import pytest

from lib.daemon import program
from lib.process import dies_with_us
from lib.wait import wait_until

WINDOWS = {"record": {"period": "1h", "heartbeat": "0"}, "sock": {"source": "none"}}


def make_socket(end, port):
    with end.namespace.inside():
        sock = socket.socket()
    sock.settimeout(20)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    sock.bind((end.address, port))
    return sock


def talk(client, server, client_port, server_port):
    """A connection on which only the server says something, and that both close."""
    with make_socket(server, server_port) as listener:
        listener.listen()
        with make_socket(client, client_port) as a:
            a.connect((server.address, server_port))
            b, _ = listener.accept()
            b.sendall(bytes(5000))
            b.close()
            while a.recv(10000):
                pass
    for end in client, server:
        wait_until(lambda end=end: not end.namespace.run(
            "ss", "-Htn", "exclude", "time-wait", f"( sport = :{server_port} or dport = :{server_port} )").stdout,
            "the connection's end")


def rows(text):
    """The cells of a table's lines, without the title's and the one that counts what is left out."""
    return [re.split(r"  +", line.strip()) for line in text.splitlines()[1:] if not line.startswith("…")]


def test_from_the_end_that_opened_it(wireguard, netlogd):
    left, right = wireguard
    daemon = netlogd(left.namespace, {**WINDOWS, "tun": {"interface": left.interface, "source": "ebpf"}}).start()
    assert daemon.status()["drops"]["state"] == "counting", "no drops can be told"
    left.namespace.run("nft", "-f", "-", stdin="""table ip t { chain input {
        type filter hook input priority 0; tcp dport 6002 counter drop; tcp dport 6003 reject with tcp reset; }; }""")
    # The clients' ports are lower than the services', so that only the opener tells which is which.
    talk(right, left, 500, 6000)
    talk(left, right, 501, 6000)
    for client_port, port in (502, 6001), (504, 6003):
        with make_socket(right, client_port) as sock, pytest.raises(ConnectionRefusedError):
            sock.connect((left.address, port))
    with make_socket(right, 503) as sock:
        sock.setblocking(False)
        sock.connect_ex((left.address, 6002))
        wait_until(lambda: "packets 1 " in left.namespace.run("nft", "list", "ruleset").stdout, "the dropped SYN")
        daemon.flush()
    here, there = left.address, right.address

    connections = {row[1]: row for row in rows(daemon.ctl("flows", "--class", "virtual", "--details").stdout)}
    # Sometimes the kernel drops the last ACK, having no use for it.
    for label in f"tcp {there}:500 > {here}:6000", f"tcp {here}:501 > {there}:6000":
        assert connections[label][6:10] == ["closed", "SFA/SFPA", "1", "1"]
        # Only the service had something to say: 5,000 bytes, whichever end it was.
        assert connections[label][2].endswith(" B") and connections[label][3].endswith(" KiB"), connections[label]
    assert {label: row[6:] for label, row in connections.items() if not label.endswith("6000")} == {
        f"tcp {there}:502 > {here}:6001": ["refused", "S/RA", "1", "1", "1"],
        f"tcp {there}:503 > {here}:6002": ["dropped", "S/-", "1", "1"],
        f"tcp {there}:504 > {here}:6003": ["refused", "S/RA", "1", "1", "1"]}

    services = rows(daemon.ctl("flows", "--class", "virtual", "--by", "service", "--how", "refused").stdout)
    assert sorted(row[1] for row in services) == [f"tcp {here}:6001", f"tcp {here}:6003"]
    clients = rows(daemon.ctl("flows", "--class", "virtual", "--by", "client").stdout)
    assert {row[1]: row[6:8] for row in clients if row[1] == there} == {there: ["4", "2"]}
    assert {row[1]: row[6] for row in clients} == {there: "4", here: "1"}

    # The messages by themselves, as tail and format show them.
    lines = [line.split() for line in daemon.ctl("format", stdin=daemon.ctl("--json", "flows").stdout).stdout.splitlines()]
    told = {tuple(line[1:4]): line for line in lines if ">" in line and "PROTO" not in line}
    assert set(told) == {tuple(label.split()[1:]) for label in connections}
    assert told[f"{there}:503", ">", f"{here}:6002"][-3:] == ["dropped", "1", "NETFILTER_DROP"]
    assert told[f"{there}:502", ">", f"{here}:6001"][-3:] == ["refused", "1", "NO_SOCKET"]

    page = daemon.ctl("report", "--output", "-").stdout
    assert f"<td class=\"t\">tcp {there}:500 &gt; {here}:6000</td>" in page
    # Spread over the charts' bars, none is lost.
    for name, number in ("begun", 3), ("refused", 2):
        assert sum(map(int, re.findall(f"<title>{name} (\\d+)</title>", page))) == number


@pytest.mark.skipif(not shutil.which("nmap"), reason="nmap is not installed")
def test_a_scan(wireguard, netlogd):
    """Of a hundred ports one is open; the scan never completes its connection. Then somebody does."""
    left, right = wireguard
    daemon = netlogd(left.namespace, {**WINDOWS, "tun": {"interface": left.interface, "source": "ebpf"}}).start()
    with make_socket(left, 6000) as listener:
        listener.listen()
        right.namespace.run("nmap", "-sS", "-n", "-Pn", "-p", "5950-6049", "--max-retries", "3", left.address)
    talk(right, left, 500, 6000)
    daemon.flush()

    def columns(*options):
        """BEGUN and what follows, by row."""
        return {row[1]: row[6:] for row in rows(daemon.ctl("flows", "--class", "virtual", *options).stdout)}
    refused = columns("--by", "client", "--how", "refused")
    assert list(refused) == [right.address] and refused[right.address][:2] == ["99", "99"]
    half_open = columns("--how", "half-open")
    assert len(half_open) == 1 and all(label.endswith(f" > {left.address}:6000") for label in half_open)
    assert list(columns("--how", "closed")) == [f"tcp {right.address}:500 > {left.address}:6000"]
    assert columns("--by", "service", "--sort", "refused", "--limit", "99").keys() == {
        f"tcp {left.address}:{port}" for port in range(5950, 6050) if port != 6000}


def on_terminal(columns, *command):
    """The lines that a command prints on a terminal of so many columns."""
    ours, theirs = pty.openpty()
    termios.tcsetwinsize(theirs, (50, columns))
    with os.fdopen(ours, "rb", buffering=0) as terminal:
        process = subprocess.Popen(dies_with_us([str(word) for word in command]), stdout=theirs,
                                   env={**os.environ, "NO_COLOR": "1"})
        os.close(theirs)
        text = b""
        # A terminal that nobody has open any more gives an error.
        with contextlib.suppress(OSError):
            while part := terminal.read(4096):
                text += part
        assert process.wait(60) == 0
    return text.decode().splitlines()


def test_status_fits_the_terminal(wireguard, netlogd):
    """Counts that are zero make room first; what is on and what is not is said, and follows a reload."""
    left, right = wireguard
    daemon = netlogd(left.namespace, {**WINDOWS, "tun": {"interface": left.interface, "source": "ebpf"}}).start()
    status = program("netlogctl"), "--socket", daemon.control_socket, "status"
    wide = on_terminal(300, *status)
    titles = next(line.split() for line in wide if line.startswith("DEVICE"))
    assert titles == ["DEVICE", "STATE", "SOURCE", "ATTACHED", "INTERFACE", "CONNECTIONS", "SENT", "RECEIVED",
                      "OVERFLOW", "UNKNOWN", "INEXACT", "ERRORS", "IF", "DROPS", "MEMORY"]
    narrow = on_terminal(80, *status)
    assert all(len(line) <= 80 for line in narrow if line.startswith(("DEVICE", "tun", "sock")))
    assert next(line.split() for line in narrow if line.startswith("DEVICE"))[:3] == titles[:3]
    assert "  details     on, 0 live connections remembered" in wide
    daemon.configure({"record": {"details": "no", "drops": "no"}})
    daemon.call("Reload")
    off = daemon.ctl("status").stdout
    assert "\n  details     off: details = no\n  dropped     not counted: drops = no\n" in off
    record = daemon.status()["record"]
    assert (record["details"], record["foldPorts"]) == (False, False)
    daemon.configure({"record": {"details": "yes", "fold-ports": "yes"}})
    daemon.call("Reload")
    assert "  details     on, 0 live connections remembered, ports of openers folded\n" in daemon.ctl("status").stdout
    assert daemon.status()["record"]["foldPorts"] is True
