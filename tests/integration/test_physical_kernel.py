# SPDX-License-Identifier: BSD-3-Clause
"""The physical layer with what not every kernel has: kernel WireGuard, bonds, VLANs (tests/vm runs these)."""
import base64
import contextlib
import threading

import pytest

from lib.network import Tunnel, endpoint_text
from lib.probe import Probe, check_against_tunnel, check_two_devices_on_one_link, quiet_start, quiet_window
from lib.process import run
from lib.traffic import send_udp


@pytest.fixture(autouse=True)
def kernel_wireguard(network):
    namespace = network.namespace()
    if run(["ip", "-n", namespace.name, "link", "add", "wgprobe", "type", "wireguard"], check=False).returncode != 0:
        pytest.skip("this kernel has no WireGuard")


@pytest.fixture
def probe():
    with contextlib.ExitStack() as stack:
        def make(end, *underlay):
            made = Probe(end.namespace, "wireguard", end.interface, *(underlay or ("auto",)))
            stack.callback(made.close)
            assert made.made == {"result": 0, "reason": None}
            assert made.enable() == 0
            return made
        yield make


def peer_of(other):
    return f"{other.address}:0", endpoint_text(other.endpoint, other.port)


def check_pair(network, probe, left, right, attachment, endpoints=("192.0.2.1", "192.0.2.2")):
    """A kernel tunnel over any link between the two: each datagram counts once, as in the tunnel's own counters."""
    ends = network.wireguard_pair(left, right, endpoints=endpoints, kernel=True)
    network.handshake(ends)
    device = probe(ends[0])
    assert device.ask("info")["attachment"].endswith(f" on {attachment}")
    start = quiet_start(device, ends[0])
    send_udp(*ends, 60, 1000, back=40)
    window, (rx, tx) = quiet_window(device, ends[0], start)
    window.check_conservation()
    assert list(window.entries) == [peer_of(ends[1])]
    assert window.sum.txBytes == tx
    assert window.sum.rxBytes == rx
    assert window.sum.txPkts >= 60 and window.sum.rxPkts >= 40
    return ends, device


@pytest.mark.parametrize("ipv6", [False, True])
def test_equals_the_kernels_counters(network, probe, ipv6):
    left, right, links = network.pair(ipv6=True)
    endpoints = ("2001:db8::1", "2001:db8::2") if ipv6 else ("192.0.2.1", "192.0.2.2")
    check_pair(network, probe, left, right, links[0], endpoints)


def test_bytes_over_generic_netlink(network, probe):
    left, right, _ = network.pair()
    ends = network.wireguard_pair(left, right, kernel=True)
    network.handshake(ends)
    device = probe(ends[0], "none")
    assert device.ask("info")["attachment"] == "generic netlink"
    start = quiet_start(device, ends[0])
    send_udp(*ends, 60, 1000, back=40)
    window, (rx, tx) = quiet_window(device, ends[0], start)
    assert window.entries == {peer_of(ends[1]): (0, tx, 0, rx)}
    assert tx >= 60 * 1072


def test_roaming_and_a_new_listen_port(network, probe):
    left, right, links = network.pair()
    ends, device = check_pair(network, probe, left, right, links[0])
    start = quiet_start(device, ends[0])
    right.run("wg", "set", ends[1].interface, "listen-port", "51999")
    send_udp(ends[1], ends[0], 30, 500, back=30, port_left=40002, port_right=40003)
    window, (rx, tx) = quiet_window(device, ends[0], start)
    window.check_conservation()
    assert (window.sum.txBytes, window.sum.rxBytes) == (tx, rx)
    assert ("100.64.0.2:0", "192.0.2.2:51999") in window.entries
    start = quiet_start(device, ends[0])
    left.run("wg", "set", ends[0].interface, "listen-port", "52999")
    send_udp(*ends, 30, 500, back=30, port_left=40004, port_right=40005)
    window, (rx, tx) = quiet_window(device, ends[0], start)
    window.check_conservation()
    assert (window.sum.txBytes, window.sum.rxBytes) == (tx, rx)
    assert list(window.entries) == [("100.64.0.2:0", "192.0.2.2:51999")]


def test_bond(network, probe):
    left, right = network.namespace(), network.namespace()
    for _ in range(2):
        network.veth(left, right, None, None)
    for namespace, address in (left, "192.0.2.1/24"), (right, "192.0.2.2/24"):
        # The bond's members must be down to join it.
        namespace.ip("link", "add", "bond0", "type", "bond", "mode", "balance-rr", "miimon", "100")
        for link in namespace.ip_json("link"):
            if link["ifname"].startswith("v"):
                namespace.ip("link", "set", link["ifname"], "down")
                namespace.ip("link", "set", link["ifname"], "master", "bond0")
        namespace.ip("link", "set", "bond0", "up")
        namespace.ip("address", "add", address, "dev", "bond0")
    check_pair(network, probe, left, right, "bond0")


def test_vlan_and_the_device_below_it(network, probe):
    """A peer on the VLAN, another on the untagged device: the VLAN's frames pass through both."""
    left, right, links = network.pair(left_address="198.51.100.1/24", right_address="198.51.100.2/24")
    for namespace, link, address in (left, links[0], "192.0.2.1/24"), (right, links[1], "192.0.2.2/24"):
        namespace.ip("link", "add", "vlan7", "link", link, "type", "vlan", "id", "7")
        namespace.ip("address", "add", address, "dev", "vlan7")
        namespace.ip("link", "set", "vlan7", "up")
    ends, _ = check_pair(network, probe, left, right, "vlan7")
    far = network.wireguard_pair(network.namespace(), right, addresses=("100.64.1.1", "100.64.1.2"), kernel=True,
                                 ports=(51830, 51831))[1]
    key = left.run("wg", "show", ends[0].interface, "public-key").stdout.strip()
    left.run("wg", "set", ends[0].interface, "peer", far.public_key, "endpoint", "198.51.100.2:51831",
             "allowed-ips", "100.64.0.3/32")
    right.run("wg", "set", far.interface, "peer", key, "endpoint", "198.51.100.1:51820", "allowed-ips", "100.64.0.1/32")
    device = probe(ends[0])
    assert sorted(device.ask("info")["attachment"].split(" on ")[1].split(", ")) == sorted(["vlan7", links[0]])
    start = quiet_start(device, ends[0])
    left.run("ping", "-c", "2", "-i", "0.2", "-W", "1", "100.64.0.3", check=False)
    send_udp(*ends, 60, 1000, back=40, port_left=40002, port_right=40003)
    window, (rx, tx) = quiet_window(device, ends[0], start)
    window.check_conservation()
    assert set(window.entries) == {peer_of(ends[1]), ("100.64.0.3:0", "198.51.100.2:51831")}
    assert (window.sum.txBytes, window.sum.rxBytes) == (tx, rx)


def test_ipvlan_and_the_device_below_it(network, probe):
    """Frames pass both and do not differ: only the device below is watched."""
    if run(["ip", "-n", network.namespace().name, "link", "add", "probe0", "link", "lo", "type", "ipvlan"], check=False,
           ).stderr.startswith("Error: Unknown device type"):
        pytest.skip("this kernel has no ipvlan")
    watched, below = check_two_devices_on_one_link(network, probe, "ipvlan", "l2", kernel=True)
    assert watched == [below]


def test_forwarded_into_the_tunnel(network, probe):
    """Packets forwarded into the tunnel are the tunnel's: the kernel encrypts the very same buffer."""
    left, right, _ = network.pair()
    behind = network.namespace()
    network.veth(left, behind, "198.51.100.1/24", "198.51.100.2/24")
    left.sysctl("net.ipv4.ip_forward", 1)
    behind.ip("route", "add", "default", "via", "198.51.100.1")
    ends = network.wireguard_pair(left, right, kernel=True)
    right.run("wg", "set", ends[1].interface, "peer", ends[0].public_key, "allowed-ips", "100.64.0.1/32,198.51.100.0/24")
    right.ip("route", "add", "198.51.100.0/24", "dev", ends[1].interface)
    network.handshake(ends)
    device = probe(ends[0])
    start = quiet_start(device, ends[0])
    behind.run("ping", "-c", "20", "-i", "0.05", "-W", "10", ends[1].address)
    window, tunnel = quiet_window(device, ends[0], start)
    check_against_tunnel(window, tunnel)
    assert window.sum.txPkts >= 20 and window.sum.rxPkts >= 20


@pytest.mark.parametrize("kind", ["ipip", "gre", "sit"])
def test_over_a_tunnel_of_ip_in_ip(network, probe, kind):
    """Their packets begin with the IP header: they are counted like any others."""
    left, right, _ = network.pair(left_address="198.51.100.1/24", right_address="198.51.100.2/24")
    for namespace, here, there, address in ((left, "198.51.100.1", "198.51.100.2", "192.0.2.1/24"),
                                            (right, "198.51.100.2", "198.51.100.1", "192.0.2.2/24")):
        made = namespace.run("ip", "link", "add", "ipt0", "type", kind, "local", here, "remote", there, check=False)
        if "Unknown device type" in made.stderr:
            pytest.skip(f"this kernel has no {kind}")
        namespace.ip("address", "add", address, "dev", "ipt0")
        namespace.ip("link", "set", "ipt0", "up")
    check_pair(network, probe, left, right, "ipt0")


def test_two_kernel_peers_at_one_link_local_endpoint(network, probe):
    """The kernel tells the link: each peer has its own."""
    hub, others = network.namespace(True), [network.namespace(True) for _ in range(2)]
    links = [network.veth(hub, other, None, None) for other in others]
    hub.ip("link", "add", "wghub", "type", "wireguard")
    hub.run("wg", "set", "wghub", "listen-port", "51820", "private-key", "/dev/stdin", stdin=run(["wg", "genkey"]).stdout)
    hub.ip("link", "set", "wghub", "up")
    keys = []
    for number, (other, link) in enumerate(zip(others, links)):
        hub.ip("address", "add", f"fe80::1{number}/64", "dev", link[0], "nodad")
        other.ip("address", "add", "fe80::9/64", "dev", link[1], "nodad")
        keys.append(run(["wg", "pubkey"], stdin=run(["wg", "genkey"]).stdout).stdout.strip())
        hub.run("wg", "set", "wghub", "peer", keys[-1], "endpoint", f"[fe80::9%{link[0]}]:51821",
                "allowed-ips", f"100.64.0.{number + 2}/32")
    device = probe(Tunnel(hub, "wghub", None))
    quiet_start(device, Tunnel(hub, "wghub", None))
    hub.ip("address", "add", "100.64.0.1/24", "dev", "wghub")
    # Nobody answers: a handshake to the second peer alone.
    hub.run("ping", "-c", "1", "-W", "1", "100.64.0.3", check=False)
    window = device.window(device.window())
    window.check_conservation()
    assert set(window.entries) == {("100.64.0.3:0", "[fe80::9]:51821")}
    assert window.sum.txPkts >= 1 and window.sum.txBytes == 148 * window.sum.txPkts


def make_peers(namespace, interface, peers, allowed):
    lines = ["[Interface]", "PrivateKey = " + run(["wg", "genkey"]).stdout.strip()]
    for number in range(peers):
        key = base64.b64encode(b"netlogd-test-key" + number.to_bytes(16, "big")).decode()
        ips = ",".join(f"10.{(number * allowed + i) >> 16 & 255}.{(number * allowed + i) >> 8 & 255}.{(number * allowed + i) & 255}/32"
                       for i in range(allowed))
        lines += ["[Peer]", f"PublicKey = {key}", f"AllowedIPs = {ips}", f"Endpoint = 192.0.2.1:{1024 + number}"]
    namespace.run("wg", "setconf", interface, "/dev/stdin", stdin="\n".join(lines) + "\n")


@pytest.mark.parametrize("peers,allowed", [(3, 2000), (500, 20), (10000, 1)])
def test_dumps_of_many_messages(network, probe, peers, allowed):
    """A peer's allowed IPs continue in the next message, and so does the list of peers."""
    namespace = network.namespace()
    namespace.ip("link", "add", "wgmany", "type", "wireguard")
    make_peers(namespace, "wgmany", peers, allowed)
    device = probe(Tunnel(namespace, "wgmany", None), "none")
    found = device.ask("allowed")
    assert len(found) == peers * allowed
    assert len(set(found)) == peers * allowed
    extraction = device.ask("extract")
    assert extraction["result"] == 0
    print(f"{peers} peers with {allowed} allowed IPs each: {extraction['cpuSeconds'] * 1000:.2f} ms a reading")


def test_an_interface_deleted_while_it_is_read(network, probe):
    namespace = network.namespace()
    namespace.ip("link", "add", "wgmany", "type", "wireguard")
    make_peers(namespace, "wgmany", 2000, 5)
    device = probe(Tunnel(namespace, "wgmany", None), "none")
    remover = threading.Timer(0.05, namespace.ip, ("link", "del", "wgmany"))
    remover.start()
    results = []
    while not results or results[-1] == 0:
        results.append(device.ask("extract")["result"])
    remover.join()
    assert results[-1] == -19
    assert device.ask("extract")["result"] == -19
