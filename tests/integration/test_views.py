# SPDX-License-Identifier: BSD-3-Clause
"""netlogctl over real connections: told from the end that opened them, and how each went."""
import re
import socket

import pytest

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
    """The cells of a table's lines, without the title's."""
    return [re.split(r"  +", line.strip()) for line in text.splitlines()[1:]]


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
    assert {label: row[6:] for label, row in connections.items()} == {
        f"tcp {there}:500 > {here}:6000": ["closed", "SFA/SFPA", "1", "1"],
        f"tcp {here}:501 > {there}:6000": ["closed", "SFA/SFPA", "1", "1"],
        f"tcp {there}:502 > {here}:6001": ["refused", "S/RA", "1", "1", "1"],
        f"tcp {there}:503 > {here}:6002": ["dropped", "S/-", "1", "1"],
        f"tcp {there}:504 > {here}:6003": ["refused", "S/RA", "1", "1", "1"]}
    # Only the service had something to say: 5,000 bytes, whichever end it was.
    for label in f"tcp {there}:500 > {here}:6000", f"tcp {here}:501 > {there}:6000":
        assert connections[label][2].endswith(" B") and connections[label][3].endswith(" KiB"), connections[label]

    services = rows(daemon.ctl("flows", "--class", "virtual", "--by", "service", "--how", "refused").stdout)
    assert sorted(row[1] for row in services) == [f"tcp {here}:6001", f"tcp {here}:6003"]
    clients = rows(daemon.ctl("flows", "--class", "virtual", "--by", "client").stdout)
    assert {row[1]: row[6:] for row in clients} == {there: ["4", "2", "3"], here: ["1"]}

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
