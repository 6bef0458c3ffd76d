# SPDX-License-Identifier: BSD-3-Clause
"""docs/setups.md: routes into a tunnel as routing daemons and containers make them, and what happens to interfaces."""
import pytest

from lib.network import Tunnel
from lib.process import run
from lib.setups import Counted, by_destination, classes, interface_section, last_window, peer_section, send, wg_quick, \
    wireguard_key
from lib.tun import Tun, udp_packet
from lib.wait import wait_readable


@pytest.fixture
def namespace(network):
    return network.namespace(ipv6=True)


@pytest.fixture
def tun(network, namespace):
    return Tun(network, namespace, "10.9.0.1/24", "fd00:9::1/64")


@pytest.fixture
def other(network, namespace):
    """An interface of the same machine that is no tunnel's."""
    return Tun(network, namespace, "192.168.7.1/24", "fd00:7::1/64").interface


OWN_NETWORKS = {"10.9.0.0/24", "fd00:9::/64"}


def found(here, name="routes"):
    """Once what was removed has been forgotten."""
    for _ in range(3):
        here.daemon.flush()
    return {route["prefix"] for route in here.daemon.routes(name)} - OWN_NETWORKS


@pytest.mark.parametrize("compat", [1, 0])
def test_nexthop_objects(namespace, tun, other, netlogd, compat):
    """As FRR makes routes. With compat_mode=0 the kernel's notifications name nothing but the object."""
    namespace.sysctl("net.ipv4.nexthop_compat_mode", compat)
    for line in (f"id 1 dev {tun.interface}", f"id 2 via 10.9.0.9 dev {tun.interface}", "id 10 group 1/2",
                 f"id 3 via fd00:9::9 dev {tun.interface}", f"id 4 via 192.168.7.9 dev {other}", "id 11 group 2/4"):
        namespace.ip("nexthop", "add", *line.split())
    namespace.ip("route", "add", "10.1.0.0/16", "nhid", "1")
    here = Counted(tun, netlogd)
    # In the middle of a window.
    for destination, number in ("10.2.0.0/16", 10), ("10.3.0.0/16", 11), ("10.4.0.0/16", 4), ("fd00:1::/48", 3):
        namespace.ip("route", "add", destination, "nhid", number)
    assert here.classes_of("10.1.2.3", "10.2.2.3", "fd00:1::3") == {
        "10.1.2.3": "subnet", "10.2.2.3": "subnet", "fd00:1::3": "subnet"}
    assert found(here) == {"10.1.0.0/16", "10.2.0.0/16", "10.3.0.0/16", "fd00:1::/48"}
    # Objects that change take their routes with them, without a word about these.
    namespace.ip("nexthop", "replace", "id", "4", "via", "10.9.0.8", "dev", tun.interface)
    namespace.ip("nexthop", "replace", "id", "2", "via", "192.168.7.8", "dev", other)
    namespace.ip("nexthop", "del", "id", "1")
    assert here.classes_of("10.4.2.3") == {"10.4.2.3": "subnet"}
    assert found(here) == {"10.3.0.0/16", "10.4.0.0/16", "fd00:1::/48"}
    namespace.ip("nexthop", "replace", "id", "11", "group", "2")
    namespace.ip("nexthop", "del", "id", "3")
    assert found(here) == {"10.4.0.0/16"}
    here.stop()


@pytest.mark.parametrize("compat", [1, 0])
def test_nexthop_objects_that_go_with_an_address(namespace, tun, netlogd, compat):
    """Whatever the kernel removes with the address that a next hop was reached by."""
    namespace.sysctl("net.ipv4.nexthop_compat_mode", compat)
    namespace.ip("address", "add", "10.8.0.1/24", "dev", tun.interface)
    namespace.ip("nexthop", "add", "id", "1", "via", "10.8.0.9", "dev", tun.interface)
    namespace.ip("nexthop", "add", "id", "2", "dev", tun.interface)
    for destination, number in ("10.1.0.0/16", 1), ("10.2.0.0/16", 2):
        namespace.ip("route", "add", destination, "nhid", number)
    here = Counted(tun, netlogd)
    assert found(here) == {"10.1.0.0/16", "10.2.0.0/16", "10.8.0.0/24"}
    namespace.ip("address", "del", "10.8.0.1/24", "dev", tun.interface)
    # "ip" itself finds no route by a device when the kernel names only the object.
    kept = {route["dst"] for route in namespace.ip_json("route", "show") if "nhid" in route}
    assert found(here) == kept
    namespace.ip("link", "set", tun.interface, "down")
    assert found(here) == set()
    here.stop()


def test_multipath(namespace, tun, other, netlogd):
    """A route with several next hops is the tunnel's if one of them is."""
    here = Counted(tun, netlogd)
    hops = ["nexthop", "via", "192.168.7.9", "dev", other, "nexthop", "via", "10.9.0.9", "dev", tun.interface]
    hops6 = ["nexthop", "via", "fd00:7::9", "dev", other, "nexthop", "via", "fd00:9::9", "dev", tun.interface]
    namespace.ip("route", "add", "10.2.0.0/16", *hops)
    namespace.ip("-6", "route", "add", "fd00:2::/48", *hops6)
    seen = {}
    for number in range(1, 65):
        send(namespace, f"10.2.0.{number}", f"fd00:2::{number}")
    seen = by_destination(last_window(here.daemon))
    # By far not all, but some of each.
    for family in "10.2.0.", "fd00:2::":
        assert 8 <= len([address for address in seen if address.startswith(family)]) <= 56
    assert set(seen.values()) == {"subnet"}
    assert found(here) == {"10.2.0.0/16", "fd00:2::/48"}
    # One path less, and then none.
    namespace.ip("-6", "route", "del", "fd00:2::/48", *hops6[:5])
    namespace.ip("route", "replace", "10.2.0.0/16", *hops[:5])
    assert found(here) == {"fd00:2::/48"}
    namespace.ip("-6", "route", "del", "fd00:2::/48")
    assert found(here) == set()
    here.stop()


def test_next_hop_of_the_other_family(namespace, tun, netlogd):
    """IPv4 over IPv6 (RFC 8950), as Babel and BGP between unnumbered tunnels make it."""
    here = Counted(tun, netlogd)
    namespace.ip("route", "add", "10.1.0.0/16", "via", "inet6", "fe80::9", "dev", tun.interface)
    assert here.classes_of("10.1.2.3") == {"10.1.2.3": "subnet"}
    here.stop()


@pytest.mark.parametrize("routes, expected", [
    ({}, {"10.5.0.3": "exit", "10.1.2.3": "subnet"}),
    ({"local-addr": "10.5.0.1", "tailnet": "10.5.0.0/24"}, {"10.5.0.3": "virtual", "10.1.2.3": "subnet"})])
def test_address_on_loopback(network, namespace, netlogd, routes, expected):
    """A routing daemon's tunnels have no addresses, the node has one on loopback: which is not the tunnel's own."""
    namespace.ip("address", "add", "10.5.0.1/32", "dev", "lo")
    text = interface_section(wireguard_key(), "Table = off") + peer_section(
        wireguard_key(), "AllowedIPs = 10.5.0.3/32, 0.0.0.0/0", "Endpoint = 192.0.2.2:51820")
    here = Counted(wg_quick(network, namespace, text), netlogd, **({"routes": routes} if routes else {}))
    for destination in "10.5.0.3", "10.1.0.0/16":
        namespace.ip("route", "add", destination, "dev", here.end.interface, "src", "10.5.0.1")
    assert here.kernel() == ([], {"10.5.0.3", "10.1.0.0/16"})
    assert here.classes_of("10.5.0.3", "10.1.2.3", source="10.5.0.1") == expected
    here.stop()


def test_vrf(namespace, tun, netlogd):
    """A tunnel in a routing domain of its own: its routes are in the domain's table, its own address too."""
    if run(["ip", "-n", namespace.name, "link", "add", "blue", "type", "vrf", "table", "77"], check=False).returncode != 0:
        pytest.skip("this kernel has no VRF")
    namespace.ip("link", "set", "blue", "up")
    here = Counted(tun, netlogd)
    # Its routes move to the table, and IPv6 addresses go.
    namespace.ip("link", "set", tun.interface, "master", "blue")
    namespace.ip("route", "add", "10.1.0.0/16", "dev", tun.interface, "table", "77")
    assert here.kernel()[1] == {"10.9.0.0/24 table 77", "10.1.0.0/16 table 77"}
    assert found(here) == {"10.1.0.0/16"}
    here.stop()


def test_tailscale(namespace, tun, other, netlogd):
    """What tailscaled sets up: single addresses, and routes to nodes, subnets and an exit node in a table of its own."""
    namespace.ip("address", "flush", "dev", tun.interface)
    for address in "100.64.0.1/32", "fd7a:115c:a1e0::1/128":
        namespace.ip("address", "add", address, "dev", tun.interface)
    for destination in ("100.64.0.2", "100.100.100.100", "10.1.0.0/16", "default", "fd7a:115c:a1e0::/48", "::/0"):
        family = "-6" if ":" in destination else "-4"
        namespace.ip(family, "route", "add", destination, "dev", tun.interface, "table", "52")
    namespace.ip("route", "add", "throw", "192.168.7.0/24", "table", "52")
    for family in "-4", "-6":
        namespace.ip(family, "rule", "add", "pref", "5210", "fwmark", "0x80000/0xff0000", "lookup", "main")
        namespace.ip(family, "rule", "add", "pref", "5270", "lookup", "52")
    here = Counted(tun, netlogd)
    assert here.classes_of("100.64.0.2", "10.1.2.3", "203.0.113.9", "fd7a:115c:a1e0::2", "2001:db8::9", "192.168.7.9",
                           "100.100.100.100") == {
        "100.64.0.2": "virtual", "10.1.2.3": "subnet", "203.0.113.9": "exit", "fd7a:115c:a1e0::2": "virtual",
        "2001:db8::9": "exit"}
    # The service address is counted as ignored; the local network is not in the tunnel.
    assert here.daemon.status()["record"]["ignored"]["txPkts"] == 1
    here.stop()


@pytest.mark.parametrize("subnet_route, expected", [("", "exit"), ("connected", "subnet")])
def test_router_between_two_tunnels(network, namespace, tun, netlogd, subnet_route, expected):
    """A node of one tunnel's network to one of the other's: for either daemon that is a network behind this machine."""
    namespace.sysctl("net.ipv4.ip_forward", 1)
    second = Tun(network, namespace, "10.8.0.1/24", interface=network.interface_name("tu"))
    ends = [Counted(end, netlogd, routes={"subnet-route": subnet_route}) for end in (tun, second)]
    tun.write(udp_packet("10.9.0.7", "10.8.0.7"))
    wait_readable(second.fd, "the forwarded packet")
    assert [classes(last_window(here.daemon)) for here in ends] == [
        {("10.8.0.7", "10.9.0.7"): expected}, {("10.9.0.7", "10.8.0.7"): expected}]
    for here in ends:
        here.stop()


def test_alternative_name(namespace, tun, netlogd):
    """The configuration may have any name that the kernel has for it; changes of the link change nothing."""
    namespace.ip("link", "property", "add", "dev", tun.interface, "altname", "nl-office.vpn")
    namespace.ip("route", "add", "10.1.0.0/16", "dev", tun.interface)
    here = Counted(Tunnel(namespace, "nl-office.vpn", None), netlogd)
    before = here.daemon.status()["routes"]["kernelChanges"]
    for number in range(5):
        namespace.ip("link", "set", "nl-office.vpn", "alias", f"round {number}")
        assert here.classes_of("10.9.0.7", "10.1.2.3") == {"10.9.0.7": "virtual", "10.1.2.3": "subnet"}
    # Nor does it begin anew to follow the interface.
    assert here.daemon.status()["routes"]["kernelChanges"] >= before + 5
    assert here.daemon.status()["tun"]["state"] == "counting"
    here.stop()


def test_alternative_name_of_a_tunnel(network, namespace, netlogd):
    """A userspace WireGuard's socket has the first one."""
    hub = wireguard_key()
    end = wg_quick(network, namespace, interface_section(wireguard_key(), "Address = 10.9.0.2/32") + peer_section(
        hub, "AllowedIPs = 10.9.0.1/32", "Endpoint = 192.0.2.2:51820"))
    namespace.ip("link", "property", "add", "dev", end.interface, "altname", "nl-office.vpn")
    here = Counted(Tunnel(namespace, "nl-office.vpn", None), netlogd)
    assert here.daemon.status()["sock"]["source"] == "wireguard"
    assert here.peers() == {hub.public: (["10.9.0.1"], 1)}
    assert here.classes_of("10.9.0.1") == {"10.9.0.1": "virtual"}
    here.stop()


def test_renamed_by_the_operator(network, namespace, netlogd):
    """The kernel's WireGuard goes by its new name; the socket of a userspace one keeps the old, which is no longer found."""
    hub = wireguard_key()
    end = wg_quick(network, namespace, interface_section(wireguard_key(), "Address = 10.9.0.2/32") + peer_section(
        hub, "AllowedIPs = 10.9.0.1/32, 10.1.0.0/16", "Endpoint = 192.0.2.2:51820"))
    name = network.interface_name("of")
    for change in ["down"], ["name", name]:
        namespace.ip("link", "set", end.interface, *change)
    namespace.ip("link", "set", name, "up")
    for destination in "10.9.0.1", "10.1.0.0/16":
        namespace.ip("route", "add", destination, "dev", name)
    here = Counted(Tunnel(namespace, name, None), netlogd)
    sock = here.daemon.status()["sock"]
    if end.process is None:
        assert sock["source"] == "wireguard"
        assert here.classes_of("10.9.0.1", "10.1.2.3") == {"10.9.0.1": "virtual", "10.1.2.3": "subnet"}
    else:
        assert sock["source"] == "none" and "no WireGuard interface with this name" in sock["reason"]
        # So the allowed IPs are not known, of which a single one is a node.
        assert here.classes_of("10.9.0.1", "10.1.2.3") == {"10.9.0.1": "subnet", "10.1.2.3": "subnet"}
    here.stop()


def test_moved_to_a_container(network, netlogd):
    """The tunnel's interface is made here, its datagrams stay here; the interface goes to a container, where netlogd runs."""
    outside, _, _ = network.pair()
    inside = network.namespace()
    hub = wireguard_key()
    interface = wg_quick(network, outside, interface_section(wireguard_key(), "Table = off", "Address = 10.9.0.2/24") + peer_section(
        hub, "AllowedIPs = 10.9.0.1/32, 0.0.0.0/0", "Endpoint = 192.0.2.2:51820")).interface
    outside.ip("link", "set", interface, "netns", inside.name)
    inside.ip("address", "add", "10.9.0.2/24", "dev", interface)
    inside.ip("link", "set", interface, "up")
    inside.ip("route", "add", "default", "dev", interface)
    here = Counted(Tunnel(inside, interface, "10.9.0.2"), netlogd)
    assert here.kernel() == (["10.9.0.2/24"], {"10.9.0.0/24", "0.0.0.0/0"})
    assert here.classes_of("10.9.0.1", "203.0.113.9") == {"10.9.0.1": "virtual", "203.0.113.9": "exit"}
    assert here.physical("10.9.0.1") == {("10.9.0.1", "192.0.2.2:51820")}
    # Bytes by the tunnel's own counters, since no device here leads to the peer.
    sock = here.daemon.status()["sock"]
    assert sock["unseen"]["txBytes"] > 0 and sock["unseen"]["txPkts"] == 0
    here.stop()
