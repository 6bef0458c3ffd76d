# SPDX-License-Identifier: BSD-3-Clause
"""docs/setups.md: a hub made by wg-quick, with two clients, as a router of its own networks and as a way to the Internet."""
import pytest

from lib.setups import Counted, by_destination, classes, interface_section, last_window, peer_section, physical, reach, \
    wg_quick, wireguard_key
from lib.sites import HUB_ENDPOINTS, INTERNET, Site

HUB, LAPTOP, OFFICE = wireguard_key(), wireguard_key(), wireguard_key()


class Hub(Site):
    """The hub 10.9.0.1 with two clients: a laptop 10.9.0.2, and the router 10.9.0.3 of an office, 10.50.0.0/16."""

    def up(self, *lines):
        self.ends["hub"] = wg_quick(self.network, self.hub, interface_section(
            HUB, "Address = 10.9.0.1/24", "ListenPort = 51820", *lines) +
            peer_section(LAPTOP, "AllowedIPs = 10.9.0.2/32") +
            peer_section(OFFICE, "AllowedIPs = 10.9.0.3/32, 10.50.0.0/16"))
        for name, key, address, allowed in (("laptop", LAPTOP, "10.9.0.2", "0.0.0.0/0"),
                                            ("office", OFFICE, "10.9.0.3", "10.9.0.0/24, 192.168.7.0/24")):
            self.ends[name] = wg_quick(self.network, getattr(self, name), interface_section(
                key, f"Address = {address}/24", "ListenPort = 51821") +
                peer_section(HUB, f"AllowedIPs = {allowed}", f"Endpoint = {HUB_ENDPOINTS[name]}:51820"))
            # The hub then knows both endpoints.
            reach(getattr(self, name), address, self.hub, "10.9.0.1")


@pytest.fixture
def hub(network):
    return Hub(network)


def test_hub(hub, netlogd):
    """Clients by single addresses; what one sends to another crosses the tunnel twice."""
    hub.up()
    here = Counted(hub.ends["hub"], netlogd)
    assert here.kernel() == (["10.9.0.1/24"], {"10.9.0.0/24", "10.50.0.0/16"})
    reach(hub.laptop, "10.9.0.2", hub.hub, "10.9.0.1")
    reach(hub.laptop, "10.9.0.2", hub.office, "10.9.0.3")
    messages = last_window(here.daemon)
    # In the hub's view: received from the laptop, and sent to the office's router.
    assert classes(messages) == {("10.9.0.1", "10.9.0.2"): "virtual", ("10.9.0.3", "10.9.0.2"): "virtual",
                                 ("10.9.0.2", "10.9.0.3"): "virtual"}
    assert physical(messages) == {("10.9.0.2", "198.51.100.2:51821"), ("10.9.0.3", "198.51.100.6:51821")}
    here.stop()


def test_hub_with_a_network_behind_a_client(hub, netlogd):
    """The office's network, which is among its router's allowed IPs, so that wg-quick makes a route."""
    hub.up()
    here = Counted(hub.ends["hub"], netlogd)
    reach(hub.hub, "10.9.0.1", hub.office, "10.50.0.1")
    reach(hub.laptop, "10.9.0.2", hub.office, "10.50.0.1")
    assert classes(last_window(here.daemon)) == {
        ("10.9.0.1", "10.50.0.1"): "subnet", ("10.50.0.1", "10.9.0.2"): "subnet", ("10.9.0.2", "10.50.0.1"): "subnet"}
    here.stop()


@pytest.mark.parametrize("subnet_route, expected", [("connected", "subnet"), ("192.168.7.0/24", "subnet"), ("", "exit")])
def test_subnet_router(hub, netlogd, subnet_route, expected):
    """Only the configuration tells that the hub serves its own network to the clients."""
    hub.up()
    here = Counted(hub.ends["hub"], netlogd, routes={"subnet-route": subnet_route})
    reach(hub.laptop, "10.9.0.2", hub.inside, "192.168.7.9")
    reach(hub.inside, "192.168.7.9", hub.office, "10.9.0.3")
    assert classes(last_window(here.daemon)) == {("192.168.7.9", "10.9.0.2"): expected, ("192.168.7.9", "10.9.0.3"): expected}
    here.stop()


@pytest.mark.parametrize("subnet_route", ["", "192.168.7.0/24"])
def test_exit_node(hub, netlogd, subnet_route):
    """The laptop's way to the Internet, behind the hub's own address; in the tunnel it has the laptop's."""
    hub.up("PostUp = nft add table ip nat",
           "PostUp = nft 'add chain ip nat out { type nat hook postrouting priority 100; }'",
           f"PostUp = nft add rule ip nat out oifname {hub.uplink} masquerade")
    here = Counted(hub.ends["hub"], netlogd, routes={"subnet-route": subnet_route})
    assert reach(hub.laptop, "10.9.0.2", hub.internet, INTERNET) == "203.0.113.1"
    assert classes(last_window(here.daemon)) == {(INTERNET, "10.9.0.2"): "exit"}
    here.stop()


def test_client_of_an_exit_node(hub, netlogd):
    """The same from the laptop's end, which has the whole tunnel for its default route."""
    hub.up()
    here = Counted(hub.ends["laptop"], netlogd)
    for place, address in (hub.hub, "10.9.0.1"), (hub.office, "10.9.0.3"), (hub.office, "10.50.0.1"):
        reach(hub.laptop, "10.9.0.2", place, address)
    # What is behind others is exit: a client with a default route does not know their networks.
    assert by_destination(last_window(here.daemon)) == {"10.9.0.1": "virtual", "10.9.0.3": "virtual", "10.50.0.1": "exit"}
    assert {endpoint for _, endpoint in here.physical(INTERNET)} == {"198.51.100.1:51820"}
    here.stop()


def other_sections(tmp, name, text):
    path = tmp / name
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.parametrize("command", ["syncconf", "addconf", "set"])
def test_allowed_ips_change_their_peer(hub, netlogd, directory, command):
    """The laptop's address and the office's network go to the other peer while all is counted."""
    hub.up()
    here = Counted(hub.ends["hub"], netlogd)
    end = here.end
    assert here.peers() == {LAPTOP.public: (["10.9.0.2"], 1), OFFICE.public: (["10.9.0.3"], 2)}
    endpoints = {LAPTOP.public: "198.51.100.2:51821", OFFICE.public: "198.51.100.6:51821"}
    reach(hub.hub, "10.9.0.1", hub.laptop, "10.9.0.2")
    reach(hub.hub, "10.9.0.1", hub.office, "10.50.0.1")
    office = "AllowedIPs = 10.9.0.2/32, 10.9.0.3/32"
    if command == "syncconf":
        text = interface_section(HUB, "ListenPort = 51820") + peer_section(LAPTOP, "AllowedIPs = 10.50.0.0/16") + \
            peer_section(OFFICE, office)
        end.namespace.run("wg", "syncconf", end.interface, other_sections(directory, "new.conf", text))
    elif command == "addconf":
        text = peer_section(LAPTOP, "AllowedIPs = 10.50.0.0/16") + peer_section(OFFICE, office)
        end.namespace.run("wg", "addconf", end.interface, other_sections(directory, "more.conf", text))
    else:
        for key, allowed in (LAPTOP, "10.50.0.0/16"), (OFFICE, "10.9.0.2/32,10.9.0.3/32"):
            end.namespace.run("wg", "set", end.interface, "peer", key.public, "allowed-ips", allowed)
    expected = {LAPTOP.public: "10.50.0.0/16", OFFICE.public: "10.9.0.2/32 10.9.0.3/32"}
    shown = dict(line.split("\t") for line in end.namespace.run("wg", "show", end.interface, "allowed-ips").stdout.splitlines())
    assert {key: " ".join(sorted(value.split())) for key, value in shown.items()} == expected
    # No packet is of another class while they change hands.
    messages = last_window(here.daemon)
    assert by_destination(messages) == {"10.9.0.2": "virtual", "10.50.0.1": "subnet"}
    assert here.peers() == {LAPTOP.public: ([], 1), OFFICE.public: (["10.9.0.2", "10.9.0.3"], 2)}
    # An endpoint's entry has the address that its peer has at the window's end.
    for _ in range(2):
        assert here.classes_of("10.9.0.2", "10.9.0.3", "10.50.0.1") == {
            "10.9.0.2": "virtual", "10.9.0.3": "virtual", "10.50.0.1": "subnet"}
    pairs = here.physical("10.9.0.2", "10.50.0.1", since=len(here.daemon.spool_messages()),
                          until=lambda found: {end for _, end in found} == set(endpoints.values()))
    assert pairs == {("10.50.0.0", endpoints[LAPTOP.public]), ("10.9.0.2", endpoints[OFFICE.public])}
    here.stop()


def test_client_with_a_new_key(hub, netlogd, directory):
    """The old peer goes, one with the same allowed IPs comes, and the client is where it was: the same physical traffic."""
    hub.up()
    here = Counted(hub.ends["hub"], netlogd)
    laptop = hub.ends["laptop"]
    new = wireguard_key()
    reach(hub.laptop, "10.9.0.2", hub.hub, "10.9.0.1")
    text = interface_section(HUB, "ListenPort = 51820") + peer_section(new, "AllowedIPs = 10.9.0.2/32") + \
        peer_section(OFFICE, "AllowedIPs = 10.9.0.3/32, 10.50.0.0/16")
    hub.hub.run("wg", "syncconf", here.end.interface, other_sections(directory, "new.conf", text))
    laptop.namespace.run("wg", "set", laptop.interface, "private-key", "/dev/stdin", stdin=new.private + "\n")
    # A message that is lost with the old key is not sent again.
    hub.laptop.run("ping", "-c", "1", "-W", "10", "10.9.0.1")
    reach(hub.laptop, "10.9.0.2", hub.hub, "10.9.0.1")
    messages = last_window(here.daemon)
    assert classes(messages) == {("10.9.0.1", "10.9.0.2"): "virtual"}
    assert physical(messages) == {("10.9.0.2", "198.51.100.2:51821")}
    assert here.peers() == {new.public: (["10.9.0.2"], 1), OFFICE.public: (["10.9.0.3"], 2)}
    assert here.daemon.status()["sock"]["unknown"] == {"txPkts": 0, "txBytes": 0, "rxPkts": 0, "rxBytes": 0}
    here.stop()
