# SPDX-License-Identifier: BSD-3-Clause
"""The mirror test: netlogd at both ends of a tunnel. What one sent, the other received, connection by connection."""
import pytest

from lib.mirror import End, between, other_side
from lib.network import endpoint_text
from lib.traffic import Counts, Iperf3, connection_key, send_udp, sums
from lib.vpn import settle, transfer_tcp

MTU = 1420
SOCKET = "datagrams dropped by the tunnel's socket"


@pytest.fixture
def ends(network, netlogd):
    left, right, links = network.pair(ipv6=True)
    tunnels = network.wireguard_pair(left, right, addresses6=("fd7a:115c:a1e0::1", "fd7a:115c:a1e0::2"), mtu=MTU)
    network.handshake(tunnels)
    made = [End(tunnel, netlogd, link) for tunnel, link in zip(tunnels, links)]
    for end in made:
        end.begin()
    return made


def in_fragments(size, ipv6):
    """How size bytes with an 8-byte header (UDP, echo) count: (first fragment, later ones), packets and bytes."""
    header = 48 if ipv6 else 20
    room = (MTU - header) // 8 * 8
    payload = size + 8
    later = -(-payload // room) - 1
    return (1, room + header), (later, payload - room + later * header)


def check_physical(end, other, messages, tunnel):
    """The physical layer's bytes equal the tunnel's; received ones that the tunnel did not take are reported apart."""
    rx, tx = tunnel
    found = sums(messages, ("physicalTraffic",))
    assert list(found) == [(0, f"{other.address}:0", endpoint_text(other.endpoint, other.port))]
    counts = list(found.values())[0]
    assert counts.txBytes == tx
    assert counts.rxBytes >= rx
    return counts, counts.rxBytes - rx


def test_equal_where_nothing_is_dropped(ends):
    """TCP, UDP and ICMP, IPv4 and IPv6, small and large, whole and in fragments."""
    one, other = (end.tunnel for end in ends)
    expected = {}
    for number, ipv6 in enumerate((False, True)):
        first = 41000 + 10 * number
        here, there = (one.address6, other.address6) if ipv6 else (one.address, other.address)
        # Empty, small, as large as fits, and those that go in two fragments.
        largest = MTU - (48 if ipv6 else 28)
        for offset, (size, count, back) in enumerate(((0, 50, 20), (20, 500, 300), (largest, 300, 100))):
            ports = first + 2 * offset, first + 2 * offset + 1
            counts = send_udp(one, other, count, size, *ports, back=back, ipv6=ipv6)
            expected[connection_key(17, here, ports[0], there, ports[1])] = counts
        send_udp(one, other, 60, 2000, first + 8, first + 9, back=40, ipv6=ipv6)
        (_, head), (_, tail) = in_fragments(2000, ipv6)
        expected[connection_key(17, here, first + 8, there, first + 9)] = Counts(60, 60 * head, 40, 40 * head)
        # Fragments at offsets beyond 80 bytes are counted under protocol 255.
        pings = 5
        one.namespace.run("ping", "-c", pings, "-i", "0.05", "-s", "20000", there)
        (packets, size), (later, rest) = in_fragments(20000, ipv6)
        # Each settle() adds one ordinary echo from each side, IPv4 only.
        echoes = 0 if ipv6 else 2
        icmp = Counts(*(2 * (packets * pings + echoes, size * pings + echoes * 84)))
        expected[connection_key(58 if ipv6 else 1, here, 0, there, 0)] = icmp
        expected[connection_key(255, here, 0, there, 0)] = Counts(
            60 + later * pings, 60 * tail + rest * pings, 40 + later * pings, 40 * tail + rest * pings)
    streams = {}
    for number, ipv6 in enumerate((False, True)):
        # The second of many small segments, and the third one that the other end opens.
        for offset, (size, chunk) in enumerate(((2 << 20, 32768), (20000, 100))):
            key, stream_sent = transfer_tcp(one, other, size, port=5001 + 3 * number + offset, chunk=chunk, ipv6=ipv6)
            streams[key] = 0, stream_sent
        (proto, source, destination), stream_sent = transfer_tcp(other, one, 1 << 20, port=5003 + 3 * number, ipv6=ipv6)
        streams[proto, destination, source] = 2, stream_sent
    settle(one, other)
    losses = [end.lost() for end in ends]
    (tunnel, messages, _), (other_tunnel, other_messages, _) = [end.finish() for end in ends]

    assert losses == [{}, {}]
    sent = between(messages, (one, other))
    received = between(other_messages, (one, other))
    assert sent == other_side(received)
    for key, counts in expected.items():
        assert sent[key] == counts, key
    for key, (first, counts) in streams.items():
        assert sent[key][first:first + 2] == counts, key
    neighbours = {key for key in sent if key[0] == 58} - {connection_key(58, one.address6, 0, other.address6, 0)}
    assert set(sent) == set(expected) | set(streams) | neighbours

    # The physical layer too, where the tunnel has counters of its own.
    counts, refused = check_physical(one, other, messages, tunnel)
    other_counts, other_refused = check_physical(other, one, other_messages, other_tunnel)
    assert (refused, other_refused) == (0, 0)
    assert (counts.txPkts, counts.txBytes) == (other_counts.rxPkts, other_counts.rxBytes)
    assert (counts.rxPkts, counts.rxBytes) == (other_counts.txPkts, other_counts.txBytes)


@pytest.mark.parametrize("options", [("--bidir",), ("-u", "-b", "0", "-l", "200"), ("-u", "-b", "0", "-l", "16000")],
                         ids=["tcp", "udp-small", "udp-fragments"])
def test_the_difference_is_reported_at_full_rate(ends, options):
    """As fast as the sender can: what left one end and did not reach the other is in a drop counter."""
    one, other = (end.tunnel for end in ends)
    Iperf3(other, one, "-t", "2", *options).result()
    # The other end still works through its queue; a packet sent now overtakes nothing.
    settle(one, other)
    losses = [end.lost() for end in ends]
    (tunnel, messages, status), (other_tunnel, other_messages, other_status) = [end.finish() for end in ends]
    sent = between(messages, (one, other))
    received = other_side(between(other_messages, (one, other)))

    missing = [0, 0]
    assert set(received) <= set(sent)
    for key, counts in sent.items():
        arrived = received.get(key, Counts(0, 0, 0, 0))
        assert counts.txPkts >= arrived.txPkts and counts.txBytes >= arrived.txBytes, key
        assert counts.rxPkts <= arrived.rxPkts and counts.rxBytes <= arrived.rxBytes, key
        missing[0] += counts.txPkts - arrived.txPkts
        missing[1] += arrived.rxPkts - counts.rxPkts
    # Packets dropped by the sender's interface, or by the receiver's socket or interface.
    def between_ends(sender, receiver):
        return (sum(count for name, count in losses[sender].items() if " tx " in name) +
                sum(count for name, count in losses[receiver].items() if " tx " not in name))
    assert missing == [between_ends(0, 1), between_ends(1, 0)], losses
    assert sum(counts.txPkts for counts in sent.values()) > 2000

    counts, refused = check_physical(one, other, messages, tunnel)
    other_counts, other_refused = check_physical(other, one, other_messages, other_tunnel)
    # What the socket dropped is reported as such, and nothing else: no network here drops anything.
    assert status["sock"].get("tunnelDroppedRx", 0) == refused
    assert other_status["sock"].get("tunnelDroppedRx", 0) == other_refused
    assert (refused > 0) == (SOCKET in losses[0]) and (other_refused > 0) == (SOCKET in losses[1])
    assert counts.txPkts - other_counts.rxPkts == counts.txBytes - other_counts.rxBytes == 0
    assert counts.rxPkts - other_counts.txPkts == counts.rxBytes - other_counts.txBytes == 0
