# SPDX-License-Identifier: BSD-3-Clause
"""docs/setups.md: what wg-quick sets up on a client of a hub, and the class of each kind of traffic there."""
import pytest

from lib.network import Tunnel
from lib.setups import Counted, interface_section, peer_section, rules, wg_quick, wg_quick_down, wireguard_key
from lib.traffic import entries, texts
from lib.wait import wait_until

OWN, HUB = wireguard_key(), wireguard_key()
INTERNET, INTERNET6 = "203.0.113.9", "2001:db8:ffff::9"


@pytest.fixture
def client(network, netlogd):
    """Makes a client of a hub that is at 192.0.2.2 and [2001:db8::2], and starts netlogd there."""
    made = []

    def make(*lines, allowed, endpoint="192.0.2.2:51820", interface=None, **more):
        left, _, links = network.pair(ipv6=True)
        text = interface_section(OWN, *lines) + peer_section(HUB, f"AllowedIPs = {allowed}", f"Endpoint = {endpoint}")
        here = Counted(wg_quick(network, left, text, interface), netlogd, **more)
        here.links = links
        made.append(here)
        return here

    yield make
    for here in made:
        here.stop()


def test_one_address(client):
    """Address with /32, as generators of configurations write it; the hub and a network behind it."""
    here = client("Address = 10.9.0.2/32", allowed="10.9.0.1/32, 10.1.0.0/16")
    assert here.kernel() == (["10.9.0.2/32"], {"10.9.0.1", "10.1.0.0/16"})
    assert rules(here.namespace) == []
    assert here.classes_of("10.9.0.1", "10.1.2.3", source="10.9.0.2") == {"10.9.0.1": "virtual", "10.1.2.3": "subnet"}
    assert here.physical("10.9.0.1") == {("10.9.0.1", "192.0.2.2:51820")}


def test_one_address_in_a_network_of_nodes(client):
    """Address with /32, the VPN's network as allowed IPs: the narrowest route that has this node's address is the nodes'."""
    here = client("Address = 10.9.0.2/32", allowed="10.9.0.0/24, 10.0.0.0/9")
    assert here.kernel() == (["10.9.0.2/32"], {"10.9.0.0/24", "10.0.0.0/9"})
    assert here.classes_of("10.9.0.7", "10.8.0.7") == {"10.9.0.7": "virtual", "10.8.0.7": "subnet"}
    assert {"prefix": "10.9.0.0/24", "origin": "found"} in here.daemon.routes("tailnet")


def test_network_address(client):
    """Address with /24: the kernel's own route is there, so wg-quick makes none."""
    here = client("Address = 10.9.0.2/24", allowed="10.9.0.0/24, 10.1.0.0/16")
    assert here.kernel() == (["10.9.0.2/24"], {"10.9.0.0/24", "10.1.0.0/16"})
    assert here.classes_of("10.9.0.1", "10.9.0.7", "10.1.2.3") == {
        "10.9.0.1": "virtual", "10.9.0.7": "virtual", "10.1.2.3": "subnet"}


def test_table_off(client):
    """No routes by wg-quick: those of a routing daemon come later, and the allowed IPs classify from the start."""
    here = client("Address = 10.9.0.2/32", "Table = off", allowed="10.9.0.1/32, 10.1.0.0/16, 0.0.0.0/0")
    assert here.kernel() == (["10.9.0.2/32"], set())
    # Until then they take the other interface.
    here.namespace.ip("route", "add", "default", "via", "192.0.2.2")
    assert here.classes_of("10.9.0.1", "10.1.2.3", source="10.9.0.2") == {}
    for destination in "10.9.0.1", "10.1.2.0/24", "203.0.113.0/24":
        here.namespace.ip("route", "add", destination, "dev", here.end.interface, "proto", "bird")
    assert here.classes_of("10.9.0.1", "10.1.2.3", INTERNET, source="10.9.0.2") == {
        "10.9.0.1": "virtual", "10.1.2.3": "subnet", INTERNET: "subnet"}


def test_table_of_its_own(client):
    """Routes in a table that some rule leads to, as for one user or one container."""
    here = client("Address = 10.9.0.2/32", "Table = 77", "PostUp = ip rule add from 10.9.0.2 table 77",
                  allowed="10.9.0.1/32, 10.1.0.0/16, 0.0.0.0/0")
    assert here.kernel() == (["10.9.0.2/32"], {"10.9.0.1 table 77", "10.1.0.0/16 table 77", "0.0.0.0/0 table 77"})
    assert here.classes_of("10.9.0.1", "10.1.2.3", INTERNET, source="10.9.0.2") == {
        "10.9.0.1": "virtual", "10.1.2.3": "subnet", INTERNET: "exit"}


@pytest.mark.parametrize("line, mark", [("", 51820), ("FwMark = 0x1234", 0x1234)])
def test_full_tunnel(client, line, mark):
    """The default route in a table of its own, for everything but the tunnel's marked datagrams."""
    here = client("Address = 10.9.0.2/24, fd00:9::2/64", line, allowed="0.0.0.0/0, ::/0")
    assert here.kernel() == (["10.9.0.2/24", "fd00:9::2/64"], {
        "10.9.0.0/24", "fd00:9::/64", f"0.0.0.0/0 table {mark}", f"::/0 table {mark}"})
    for family in "-4", "-6":
        assert rules(here.namespace, family) == [
            "from all lookup main suppress_prefixlength 0", f"not from all fwmark {mark:#x} lookup {mark}"]
    # The local network stays outside of the tunnel.
    assert here.classes_of("10.9.0.1", INTERNET, "fd00:9::1", INTERNET6, "192.0.2.2") == {
        "10.9.0.1": "virtual", INTERNET: "exit", "fd00:9::1": "virtual", INTERNET6: "exit"}
    assert {endpoint for _, endpoint in here.physical(INTERNET)} == {"192.0.2.2:51820"}
    assert here.daemon.status()["sock"]["attachment"].endswith(f" on {here.links[0]}")


def test_full_tunnel_with_one_address(client):
    """As providers of such tunnels have it: there is no network of nodes, so the provider's own servers are exit too."""
    here = client("Address = 10.9.0.2/32", allowed="0.0.0.0/0")
    assert here.kernel() == (["10.9.0.2/32"], {"0.0.0.0/0 table 51820"})
    assert here.classes_of("10.9.0.1", INTERNET) == {"10.9.0.1": "exit", INTERNET: "exit"}


def test_halves_of_the_default_route(client):
    """Allowed IPs that keep wg-quick from making rules: more specific than the default route, in the main table."""
    here = client("Address = 10.9.0.2/24, fd00:9::2/64", allowed="0.0.0.0/1, 128.0.0.0/1, ::/1, 8000::/1")
    assert here.kernel()[1] == {"10.9.0.0/24", "fd00:9::/64", "0.0.0.0/1", "128.0.0.0/1", "::/1", "8000::/1"}
    assert rules(here.namespace) == []
    assert here.classes_of("10.9.0.1", "9.9.9.9", INTERNET, INTERNET6, "fc00::9") == {
        "10.9.0.1": "virtual", "9.9.9.9": "exit", INTERNET: "exit", INTERNET6: "exit", "fc00::9": "exit"}
    assert {endpoint for _, endpoint in here.physical(INTERNET)} == {"192.0.2.2:51820"}


# 0.0.0.0/0 without 10.0.0.0/8.
ALL_BUT_PRIVATE = ("0.0.0.0/5", "8.0.0.0/7", "11.0.0.0/8", "12.0.0.0/6", "16.0.0.0/4", "32.0.0.0/3", "64.0.0.0/2", "128.0.0.0/1")


def test_all_but_a_private_network(client):
    """The default route with a hole in it is many routes, which together are one."""
    here = client("Address = 10.9.0.2/24", allowed=", ".join(["10.9.0.0/24", "10.1.0.0/16", *ALL_BUT_PRIVATE]))
    assert here.kernel()[1] == {"10.9.0.0/24", "10.1.0.0/16", *ALL_BUT_PRIVATE}
    assert here.classes_of("10.9.0.1", "10.1.2.3", "9.9.9.9", INTERNET) == {
        "10.9.0.1": "virtual", "10.1.2.3": "subnet", "9.9.9.9": "exit", INTERNET: "exit"}


def test_ipv6_only(client):
    here = client("Address = fd00:9::2/128", allowed="fd00:9::1/128, fd00:1::/48, ::/0", endpoint="[2001:db8::2]:51820")
    assert here.kernel() == (["fd00:9::2/128"], {"fd00:9::2", "fd00:9::1", "fd00:1::/48", "::/0 table 51820"})
    assert rules(here.namespace) == []
    assert here.classes_of("fd00:9::1", "fd00:1::3", INTERNET6) == {
        "fd00:9::1": "virtual", "fd00:1::3": "subnet", INTERNET6: "exit"}
    assert here.physical("fd00:9::1") == {("fd00:9::1", "[2001:db8::2]:51820")}


def test_endpoint_with_a_scope(network, netlogd):
    """A neighbour that is known by its link-local address on one interface."""
    left, right, links = network.pair(ipv6=True)
    left.ip("address", "add", "fe80::11/64", "dev", links[0], "nodad")
    right.ip("address", "add", "fe80::12/64", "dev", links[1], "nodad")
    text = interface_section(OWN, "Address = 10.9.0.2/32") + peer_section(
        HUB, "AllowedIPs = 10.9.0.1/32", f"Endpoint = [fe80::12%{links[0]}]:51820")
    here = Counted(wg_quick(network, left, text), netlogd)
    assert here.classes_of("10.9.0.1") == {"10.9.0.1": "virtual"}
    assert here.physical("10.9.0.1") == {("10.9.0.1", "[fe80::12]:51820")}
    assert here.daemon.status()["sock"]["attachment"].endswith(f" on {links[0]}")
    here.stop()


def test_tunnel_in_a_tunnel(network, client, netlogd):
    """Two hops: the inner tunnel's datagrams are the outer one's traffic, and the outer interface is its underlay."""
    # Its physical layer would watch the inner one too, by whose default route answers might leave.
    outer = client("Address = 10.9.0.2/24", allowed="10.9.0.0/24", sock={"source": "none"})
    text = interface_section(wireguard_key(), "Address = 10.10.0.2/24", "ListenPort = 51900") + peer_section(
        wireguard_key(), "AllowedIPs = 0.0.0.0/0", "Endpoint = 10.9.0.1:51901")
    inner = Counted(wg_quick(network, outer.namespace, text), netlogd)
    assert inner.classes_of("10.10.0.1", INTERNET, "10.9.0.1") == {"10.10.0.1": "virtual", INTERNET: "exit"}
    assert {endpoint for _, endpoint in inner.physical(INTERNET)} == {"10.9.0.1:51901"}
    assert inner.daemon.status()["sock"]["attachment"].endswith(f" on {outer.end.interface}")
    outer.daemon.flush()
    seen = {entry["dst"]: (name, entry["src"]) for name, entry in entries(outer.daemon.spool_messages())}
    assert seen["10.9.0.1:51901"] == ("virtualTraffic", "10.9.0.2:51900")
    # Both have programs on the outer interface, and neither minds.
    assert not [text for text in texts(outer.daemon.spool_messages()) if "another program" in text]
    inner.stop()


def test_names_with_dots_and_dashes(network, client):
    """All that wg-quick takes for a name."""
    name = network.interface_name("wg")
    name += "._=+"[:15 - len(name)]
    here = client("Address = 10.9.0.2/32", allowed="10.9.0.1/32, 10.1.0.0/16", interface=name)
    assert here.classes_of("10.9.0.1", "10.1.2.3") == {"10.9.0.1": "virtual", "10.1.2.3": "subnet"}
    assert here.physical("10.9.0.1") == {("10.9.0.1", "192.0.2.2:51820")}
    status = here.daemon.status()
    assert [status[layer]["interface"] for layer in ("tun", "sock")] == [name, name]
    assert status["sock"]["source"] == "wireguard" and status["tun"]["source"] == "ebpf"


def test_down_and_up_with_other_keys(network, client):
    """Deleted and made again: another interface of the name, with other keys, peers and allowed IPs."""
    here = client("Address = 10.9.0.2/32", allowed="10.9.0.1/32, 10.1.0.0/16")
    assert here.classes_of("10.9.0.1", "10.1.2.3") == {"10.9.0.1": "virtual", "10.1.2.3": "subnet"}
    assert here.peers() == {HUB.public: (["10.9.0.1"], 2)}
    index = here.daemon.status()["tun"]["ifindex"]
    wg_quick_down(here.end)
    before = len(here.daemon.spool_messages())
    other = wireguard_key()
    text = interface_section(wireguard_key(), "Address = 10.7.0.2/32") + peer_section(
        other, "AllowedIPs = 10.7.0.1/32, 10.2.0.0/16, 10.3.0.0/16", "Endpoint = 192.0.2.2:51999")
    here.end = wg_quick(network, here.namespace, text, here.end.interface)
    here.daemon.flush()
    # What was removed classifies until the window after the change has ended.
    for _ in range(2):
        seen = here.classes_of("10.7.0.1", "10.2.2.3", "10.3.2.3")
    assert seen == {"10.7.0.1": "virtual", "10.2.2.3": "subnet", "10.3.2.3": "subnet"}
    assert here.peers() == {other.public: (["10.7.0.1"], 3)}
    assert here.daemon.status()["tun"]["ifindex"] > index
    here.daemon.flush()
    found = {route["prefix"] for route in here.daemon.routes("routes")} - {"fe80::/64"}
    assert found == {"10.7.0.1", "10.2.0.0/16", "10.3.0.0/16"}
    assert here.physical("10.7.0.1", since=before) == {("10.7.0.1", "192.0.2.2:51999")}


def test_full_tunnel_that_comes_later(network, netlogd):
    """wg-quick makes the rules after the interface: they decide by which device the datagrams leave."""
    left, _, links = network.pair(ipv6=True)
    end = Tunnel(left, network.interface_name("wg"), None)
    here = Counted(end, netlogd)
    assert here.daemon.status()["tun"]["state"] == "waiting"
    text = interface_section(OWN, "Address = 10.9.0.2/24") + peer_section(
        HUB, "AllowedIPs = 0.0.0.0/0", "Endpoint = 192.0.2.2:51820")
    wg_quick(network, left, text, end.interface)
    wait_until(lambda: here.daemon.status()["tun"]["state"] == "counting", "netlogd on the new interface")
    here.daemon.flush()
    assert here.classes_of("10.9.0.1", INTERNET) == {"10.9.0.1": "virtual", INTERNET: "exit"}
    assert {endpoint for _, endpoint in here.physical(INTERNET)} == {"192.0.2.2:51820"}
    status = here.daemon.status()["sock"]
    assert status["attachment"].endswith(f" on {links[0]}") and status["unseen"]["txBytes"] == 0
    here.stop()
