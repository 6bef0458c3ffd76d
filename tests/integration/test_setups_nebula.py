# SPDX-License-Identifier: BSD-3-Clause
"""docs/setups.md: what nebula sets up on nodes, on a lighthouse and on gateways, and the class of each kind of traffic."""
import pytest

from lib.setups import Counted, by_destination, classes, last_window, physical, reach, sections
from lib.sites import INTERNET, Nebula


@pytest.fixture
def nebula(network):
    return Nebula(network)


def test_node(nebula, netlogd):
    nebula.up()
    here = Counted(nebula.ends["laptop"], netlogd)
    assert here.kernel() == (["10.7.0.2/24"], {"10.7.0.0/24"})
    for place, address in (nebula.hub, "10.7.0.1"), (nebula.office, "10.7.0.3"):
        reach(nebula.laptop, "10.7.0.2", place, address)
    messages = last_window(here.daemon)
    assert by_destination(messages) == {"10.7.0.1": "virtual", "10.7.0.3": "virtual"}
    # nebula does not tell what it sends to whom.
    assert physical(messages) == set() and here.daemon.status()["sock"]["source"] == "none"
    here.stop()


def test_lighthouse(nebula, netlogd):
    """It tells nodes where others are, outside of the tunnel; what they send to each other does not pass it."""
    nebula.up()
    here = Counted(nebula.ends["hub"], netlogd)
    assert here.kernel() == (["10.7.0.1/24"], {"10.7.0.0/24"})
    reach(nebula.laptop, "10.7.0.2", nebula.office, "10.7.0.3")
    reach(nebula.laptop, "10.7.0.2", nebula.hub, "10.7.0.1")
    assert classes(last_window(here.daemon)) == {("10.7.0.1", "10.7.0.2"): "virtual"}
    here.stop()


def test_lighthouse_without_an_interface(nebula, network, netlogd):
    """tun.disabled: there is no tunnel on this machine, so netlogd waits for one."""
    process = nebula.node("hub", "10.7.0.1", disabled=True)(nebula.hub, "nebula1")
    daemon = netlogd(nebula.hub, sections("nebula1")).start()
    assert daemon.status()["tun"]["state"] == "waiting"
    assert process.running and not nebula.hub.interface_exists("nebula1")
    daemon.stop()


def test_unsafe_routes(nebula, netlogd):
    """A network behind the office's router, as the laptop has it."""
    nebula.up(routes=[("10.50.0.0/16", "10.7.0.3")])
    here = Counted(nebula.ends["laptop"], netlogd)
    assert here.kernel() == (["10.7.0.2/24"], {"10.7.0.0/24", "10.50.0.0/16"})
    reach(nebula.laptop, "10.7.0.2", nebula.office, "10.50.0.1")
    assert by_destination(last_window(here.daemon)) == {"10.50.0.1": "subnet"}
    here.stop()


@pytest.mark.parametrize("subnet_route, expected", [("10.50.0.0/16", "subnet"), ("", "exit")])
def test_gateway_of_unsafe_routes(nebula, netlogd, subnet_route, expected):
    """The same on the office's router: its certificate names the network, which nothing but the configuration tells."""
    nebula.up(routes=[("10.50.0.0/16", "10.7.0.3")])
    here = Counted(nebula.ends["office"], netlogd, routes={"subnet-route": subnet_route})
    assert here.kernel() == (["10.7.0.3/24"], {"10.7.0.0/24"})
    reach(nebula.laptop, "10.7.0.2", nebula.office, "10.50.0.1")
    assert classes(last_window(here.daemon)) == {("10.50.0.1", "10.7.0.2"): expected}
    here.stop()


@pytest.mark.parametrize("end", ["laptop", "hub"])
def test_exit_by_unsafe_routes(nebula, netlogd, end):
    """The default route in two halves, over the hub."""
    nebula.up(routes=[("0.0.0.0/1", "10.7.0.1"), ("128.0.0.0/1", "10.7.0.1")], hub_subnets="0.0.0.0/1,128.0.0.0/1")
    here = Counted(nebula.ends[end], netlogd)
    halves = {"0.0.0.0/1", "128.0.0.0/1"} if end == "laptop" else set()
    assert here.kernel()[1] == {"10.7.0.0/24", *halves}
    reach(nebula.laptop, "10.7.0.2", nebula.internet, INTERNET)
    reach(nebula.laptop, "10.7.0.2", nebula.hub, "10.7.0.1")
    far = {INTERNET: "exit", "10.7.0.1": "virtual"}
    assert classes(last_window(here.daemon)) == {
        (("10.7.0.2", address) if end == "laptop" else (address, "10.7.0.2")): name for address, name in far.items()}
    here.stop()
