# SPDX-License-Identifier: BSD-3-Clause
"""Tunnels that know nothing of netlogd: OpenVPN, nebula, tinc. netlogd on their interfaces, with `auto` throughout."""
import shutil

import pytest

from lib.daemon import Tailer
from lib.traffic import Counts, connection_key, send_udp, sums, texts
from lib.vpn import nebula_pair, openvpn_pair, settle, tinc_pair, transfer_tcp

MAKERS = {
    "openvpn-tls": openvpn_pair,
    "openvpn-static-key": lambda network: openvpn_pair(network, tls=False),
    "openvpn-tap": lambda network: openvpn_pair(network, tap=True),
    "nebula": nebula_pair,
    "tinc": tinc_pair,
}
PROGRAMS = {"openvpn": "openvpn", "nebula": "nebula", "tinc": "tincd"}


def make(network, maker):
    program = PROGRAMS[maker.partition("-")[0]]
    if not shutil.which(program):
        pytest.skip(f"{program} is not installed")
    return MAKERS[maker](network)


@pytest.mark.parametrize("maker, source", [
    *((maker, "auto") for maker in MAKERS), ("openvpn-tls", "packet"), ("openvpn-tap", "packet")])
def test_exact_counts(network, netlogd, maker, source):
    """Known packets of every kind through the tunnel: each end's messages hold them, to the packet and the byte."""
    ends = left, right = make(network, maker)
    daemons = [netlogd(end.namespace, {"tun": {"interface": end.interface, "source": source}}) for end in ends]
    for daemon in daemons:
        daemon.start()
    small = send_udp(left, right, 500, 20, back=300)
    large = send_udp(right, left, 200, 1200, port_left=40002, port_right=40003, back=100)
    # 28 bytes of headers, and fragments of the interface's MTU.
    left.namespace.run("ping", "-c", "4", "-i", "0.01", "-s", "56", right.address)
    stream, stream_sent = transfer_tcp(left, right, 1 << 20)
    settle(left, right)
    statuses = [daemon.status() for daemon in daemons]
    for daemon in daemons:
        daemon.stop()
    seen = [sums(daemon.spool_messages(), ("virtualTraffic",)) for daemon in daemons]

    def here_and_there(key):
        proto, source, destination = key
        return seen[0][key], seen[1][proto, destination, source]

    def mirrored(counts):
        return Counts(counts.rxPkts, counts.rxBytes, counts.txPkts, counts.txBytes)

    key = connection_key(17, left.address, 40000, right.address, 40001)
    assert here_and_there(key) == (small, mirrored(small))
    key = connection_key(17, left.address, 40003, right.address, 40002)
    assert here_and_there(key) == (mirrored(large), large)
    # Four from the test and one from settle() on each side.
    key = connection_key(1, left.address, 0, right.address, 0)
    assert here_and_there(key) == (Counts(6, 6 * 84, 6, 6 * 84), Counts(6, 6 * 84, 6, 6 * 84))
    one, other = here_and_there(stream)
    assert one == mirrored(other)
    # Some are retransmissions, where a tunnel lost a packet or found one too large.
    assert (one.txPkts, one.txBytes) == stream_sent
    for number, status in enumerate(statuses):
        assert status["tun"]["conservationFailures"] == 0
        assert status["tun"].get("errors", 0) == 0
        assert status["tun"].get("deviceDropsTx", 0) == 0, number
    # An Ethernet tunnel carries ARP too, which is not IP and has no addresses.
    assert {key[0] for key in seen[0]} <= {0, 1, 6, 17}


@pytest.mark.parametrize("maker", ["openvpn-tls", "openvpn-tap", "nebula"])
def test_status_says_what_was_chosen_and_why(network, netlogd, maker):
    left, _ = make(network, maker)
    daemon = netlogd(left.namespace, {"tun": {"interface": left.interface}}).start()
    status = daemon.status()
    tun, sock = status["tun"], status["sock"]
    assert (tun["state"], tun["configured"], tun["source"], tun["interface"]) == (
        "counting", "auto", "ebpf", left.interface)
    assert tun["attachment"] in ("tcx", "clsact")
    assert (sock["configured"], sock["source"]) == ("auto", "none")
    # The reason lists what was tried.
    assert "wireguard: " in sock["reason"] and len(sock["reason"]) > len("wireguard: ")
    if maker.startswith("openvpn"):
        # This kernel has no OpenVPN data channel: the program itself moves the packets.
        assert "dco" not in left.namespace.ip("-d", "link", "show", "dev", left.interface)
    text = daemon.ctl("status").stdout
    assert "ebpf" in text and sock["reason"] in " ".join(text.split())
    with Tailer(daemon) as tail:
        daemon.call("Stop")
        tail.until(lambda messages: any("stopped" in line for line in texts(messages)), "the message of the stop")
    daemon.stop()
    assert [line for line in texts(daemon.spool_messages()) if "device" in line] == []
