# SPDX-License-Identifier: BSD-3-Clause
"""docs/setups.md: what OpenVPN sets up on its server and on its clients, and the class of each kind of traffic there."""
import signal

import pytest

from lib.setups import Counted, by_destination, classes, last_window, physical, reach
from lib.sites import INTERNET, Openvpn
from lib.vpn import openvpn_pair
from lib.wait import wait_until

INTERNET6 = "2001:db8:ffff::9"
TAILNET = {"routes": {"tailnet": "10.8.0.0/24"}}


@pytest.fixture
def openvpn(network):
    return Openvpn(network)


@pytest.mark.parametrize("relay", ["kernel", "openvpn"])
def test_server(openvpn, netlogd, relay):
    """What one client sends to another crosses the interface twice, or not at all: client-to-client is OpenVPN's own."""
    openvpn.up(*(["client-to-client"] if relay == "openvpn" else ['push "route 10.8.0.0 255.255.255.0"']))
    here = Counted(openvpn.ends["hub"], netlogd)
    assert here.kernel() == (["10.8.0.1/24"], {"10.8.0.0/24"})
    reach(openvpn.hub, "10.8.0.1", openvpn.laptop, "10.8.0.2")
    reach(openvpn.laptop, "10.8.0.2", openvpn.office, "10.8.0.3")
    messages = last_window(here.daemon)
    relayed = {("10.8.0.3", "10.8.0.2"): "virtual", ("10.8.0.2", "10.8.0.3"): "virtual"} if relay == "kernel" else {}
    assert classes(messages) == {("10.8.0.1", "10.8.0.2"): "virtual", **relayed}
    # OpenVPN does not tell what it sends to whom.
    assert physical(messages) == set() and here.daemon.status()["sock"]["source"] == "none"
    here.stop()


def test_server_net30(openvpn, netlogd):
    """The old topology: the interface has two addresses, and the clients' network is the route that has its own."""
    openvpn.up(topology="net30")
    here = Counted(openvpn.ends["hub"], netlogd)
    assert here.kernel() == (["10.8.0.1 peer 10.8.0.2/32"], {"10.8.0.2", "10.8.0.0/24"})
    reach(openvpn.hub, "10.8.0.1", openvpn.laptop, "10.8.0.6")
    assert by_destination(last_window(here.daemon)) == {"10.8.0.6": "virtual"}
    here.stop()


def test_server_with_a_network_behind_a_client(openvpn, netlogd):
    """The server's option route, and iroute for the client that has it."""
    openvpn.up("route 10.50.0.0 255.255.0.0", 'push "route 10.50.0.0 255.255.0.0"', iroute=True)
    here = Counted(openvpn.ends["hub"], netlogd)
    assert here.kernel() == (["10.8.0.1/24"], {"10.8.0.0/24", "10.50.0.0/16"})
    reach(openvpn.hub, "10.8.0.1", openvpn.office, "10.50.0.1")
    reach(openvpn.laptop, "10.8.0.2", openvpn.office, "10.50.0.1")
    assert classes(last_window(here.daemon)) == {
        ("10.8.0.1", "10.50.0.1"): "subnet", ("10.50.0.1", "10.8.0.2"): "subnet", ("10.8.0.2", "10.50.0.1"): "subnet"}
    here.stop()


@pytest.mark.parametrize("subnet_route, expected", [("192.168.7.0/24", "subnet"), ("", "exit")])
def test_server_as_router_and_exit(openvpn, netlogd, subnet_route, expected):
    """Its own network is a subnet where the configuration says so; the Internet is exit."""
    openvpn.up('push "redirect-gateway def1"')
    here = Counted(openvpn.ends["hub"], netlogd, routes={"subnet-route": subnet_route})
    reach(openvpn.laptop, "10.8.0.2", openvpn.inside, "192.168.7.9")
    reach(openvpn.laptop, "10.8.0.2", openvpn.internet, INTERNET)
    assert classes(last_window(here.daemon)) == {("192.168.7.9", "10.8.0.2"): expected, (INTERNET, "10.8.0.2"): "exit"}
    here.stop()


def test_client(openvpn, netlogd):
    """Topology subnet; a network that the server pushes a route for."""
    openvpn.up('push "route 192.168.7.0 255.255.255.0"', "client-to-client")
    here = Counted(openvpn.ends["laptop"], netlogd)
    assert here.kernel() == (["10.8.0.2/24"], {"10.8.0.0/24", "192.168.7.0/24"})
    assert here.classes_of("10.8.0.1", "10.8.0.3", "192.168.7.9", INTERNET) == {
        "10.8.0.1": "virtual", "10.8.0.3": "virtual", "192.168.7.9": "subnet"}
    here.stop()


@pytest.mark.parametrize("between, destinations, more, node", [
    ("", ["10.8.0.1"], {}, "subnet"), ("", ["10.8.0.1"], TAILNET, "virtual"),
    ("client-to-client", ["10.8.0.1", "10.8.0.10"], {}, "virtual")])
def test_client_net30(openvpn, netlogd, between, destinations, more, node):
    """The clients' network is a route; or the server's single address, of which nothing says that it is a node's."""
    openvpn.up(between, topology="net30")
    here = Counted(openvpn.ends["laptop"], netlogd, **more)
    assert here.kernel() == (["10.8.0.6 peer 10.8.0.5/32"], {"10.8.0.5", "10.8.0.0/24" if between else "10.8.0.1"})
    assert here.classes_of(*destinations) == dict.fromkeys(destinations, node)
    here.stop()


@pytest.mark.parametrize("flags, default", [("def1", {"0.0.0.0/1", "128.0.0.0/1"}), ("", {"0.0.0.0/0"})])
def test_client_with_the_default_route(openvpn, netlogd, flags, default):
    """redirect-gateway: in two halves beside the machine's own default route, or in its place."""
    openvpn.up(f'push "redirect-gateway {flags}"')
    here = Counted(openvpn.ends["laptop"], netlogd)
    assert here.kernel() == (["10.8.0.2/24"], {"10.8.0.0/24", *default})
    assert here.classes_of("10.8.0.1", "9.9.9.9", INTERNET) == {"10.8.0.1": "virtual", "9.9.9.9": "exit", INTERNET: "exit"}
    here.stop()


def test_client_with_the_default_route_of_ipv6(openvpn, netlogd):
    """OpenVPN makes four routes of it, none of which is half of the default route."""
    openvpn.up("server-ipv6 fd00:8::/64", 'push "redirect-gateway def1 ipv6"')
    here = Counted(openvpn.ends["laptop"], netlogd)
    assert here.kernel()[1] == {"10.8.0.0/24", "0.0.0.0/1", "128.0.0.0/1", "fd00:8::/64", "::/3", "2000::/4", "3000::/4", "fc00::/7"}
    assert here.classes_of("fd00:8::1", INTERNET, INTERNET6) == {"fd00:8::1": "virtual", INTERNET: "exit", INTERNET6: "exit"}
    here.stop()


@pytest.mark.parametrize("more, node", [
    ({}, "exit"), ({"routes": {"local-addr": "10.8.0.1", "route": "10.8.0.0/24", "tailnet": "10.8.0.0/24"}}, "virtual")])
def test_tap_in_a_bridge(network, netlogd, more, node):
    """The bridge has the address and the routes, so that the tap device that is counted has none."""
    left, right = openvpn_pair(network, tap=True)
    bridge = network.interface_name("br")
    left.namespace.ip("link", "add", bridge, "type", "bridge")
    left.namespace.ip("address", "flush", "dev", left.interface)
    left.namespace.ip("link", "set", left.interface, "master", bridge)
    left.namespace.ip("address", "add", "10.8.0.1/24", "dev", bridge)
    left.namespace.ip("link", "set", bridge, "up")
    right.namespace.ip("address", "add", "10.8.0.2/24", "dev", right.interface)
    here = Counted(left, netlogd, **more)
    assert here.kernel() == ([], set())
    reach(left.namespace, "10.8.0.1", right.namespace, "10.8.0.2")
    assert by_destination(last_window(here.daemon)) == {"10.8.0.2": node}
    here.stop()


def test_client_that_restarts(openvpn, netlogd):
    """A new interface of the same name, with what the server pushes now."""
    openvpn.up('push "route 192.168.7.0 255.255.255.0"')
    end = openvpn.ends["laptop"]
    here = Counted(end, netlogd)
    assert here.classes_of("192.168.7.9") == {"192.168.7.9": "subnet"}
    index = here.daemon.status()["tun"]["ifindex"]
    (openvpn.folder / "laptop").write_text('ifconfig-push 10.8.0.77 255.255.255.0\npush "route 10.50.0.0 255.255.0.0"\n',
                                           encoding="utf-8")
    end.process.signal(signal.SIGHUP)
    wait_until(lambda: end.process.text().count("Initialization Sequence Completed") == 2, "the second start")
    assert here.kernel() == (["10.8.0.77/24"], {"10.8.0.0/24", "192.168.7.0/24", "10.50.0.0/16"})
    wait_until(lambda: here.daemon.status()["tun"].get("ifindex", index) != index, "netlogd on the new interface")
    here.daemon.flush()
    assert here.classes_of("10.8.0.1", "10.50.0.1", "192.168.7.9", source="10.8.0.77") == {
        "10.8.0.1": "virtual", "10.50.0.1": "subnet", "192.168.7.9": "subnet"}
    here.stop()
