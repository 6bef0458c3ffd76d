# SPDX-License-Identifier: BSD-3-Clause
"""Routes mode auto on real interfaces: what is found, from which origin, and how long it classifies."""
import pytest

from lib import traffic
from lib.tun import Tun, udp_packet
from lib.wait import wait_until


def windows(daemon):
    return [message for message in daemon.spool_messages() if "start" in message]


def send(tun, destination):
    with traffic.udp_socket(tun.namespace, tun.address, 40000) as sock:
        sock.sendto(bytes(100), (destination, 40001))


def classes(message):
    """{destination: class}, where exit traffic has no destination."""
    return {entry["dst"].rpartition(":")[0]: name for name, entry in traffic.entries([message])}


@pytest.fixture
def tun(network):
    made = Tun(network, network.namespace())
    made.namespace.ip("route", "add", "default", "dev", made.interface)
    return made


@pytest.fixture
def daemon(tun, netlogd):
    # The packets have no checksum, so that the kernel may drop them.
    return netlogd(tun.namespace, {"tun": {"interface": tun.interface}, "sock": {"source": "none"},
                                   "record": {"period": "1h", "drops": "no"}})


def one_window(daemon, tun, destination):
    send(tun, destination)
    daemon.flush()
    return classes(windows(daemon)[-1])


def test_a_route_classifies_with_its_first_and_its_last_packets(daemon, tun):
    daemon.start()
    assert one_window(daemon, tun, "10.1.2.3") == {"": "exitTraffic"}
    # Added in the middle of a window.
    send(tun, "10.1.2.3")
    tun.namespace.ip("route", "add", "10.1.0.0/16", "dev", tun.interface)
    daemon.flush()
    assert classes(windows(daemon)[-1]) == {"10.1.2.3": "subnetTraffic"}
    # Removed in the middle of one: known at its start, and until the next has ended.
    tun.namespace.ip("route", "del", "10.1.0.0/16", "dev", tun.interface)
    for expected in {"10.1.2.3": "subnetTraffic"}, {"10.1.2.3": "subnetTraffic"}, {"": "exitTraffic"}:
        assert one_window(daemon, tun, "10.1.2.3") == expected
    daemon.stop()


def test_a_route_holds_for_what_was_read_before_it(daemon, tun):
    """More connections than the device holds, so that it is read early; the route comes after that."""
    daemon.configure({"tun": {"max-flows": 400}})
    daemon.start()
    with traffic.udp_socket(tun.namespace, tun.address, 40000) as sock:
        for port in range(700):
            sock.sendto(bytes(100), ("10.1.2.3", 1000 + port))
    # Nobody asks for it: the programs wake the daemon when their table is three quarters full.
    wait_until(lambda: daemon.status()["tun"]["totals"]["txPkts"] >= 600, "that the device has been read")
    tun.namespace.ip("route", "add", "10.1.0.0/16", "dev", tun.interface)
    daemon.flush()
    (message,) = windows(daemon)
    assert set(classes(message)) == {"10.1.2.3"} and len(message["subnetTraffic"]) == 400, message.keys()
    assert message["overflow"]["tun"]["txPkts"] == 300
    daemon.stop()


def test_what_was_found_before_a_stop(daemon, tun):
    """A route removed while nothing was counted no longer classifies."""
    tun.namespace.ip("route", "add", "10.1.0.0/16", "dev", tun.interface)
    daemon.start()
    assert one_window(daemon, tun, "10.1.2.3") == {"10.1.2.3": "subnetTraffic"}
    daemon.call("Stop")
    tun.namespace.ip("route", "del", "10.1.0.0/16", "dev", tun.interface)
    daemon.call("Start")
    assert one_window(daemon, tun, "10.1.2.3") == {"": "exitTraffic"}
    daemon.stop()


@pytest.mark.parametrize("mode", ["auto", "static"])
def test_connected_networks(network, daemon, tun, mode):
    Tun(network, tun.namespace, "192.168.7.1/24")
    daemon.configure({"routes": {"mode": mode, "subnet-route": "connected,172.20.0.0/16"}})
    daemon.start()
    shown = {route["prefix"]: route for route in daemon.routes("subnetRoutes")}
    assert shown == {"192.168.7.0/24": {"prefix": "192.168.7.0/24", "origin": "found", "foundBy": "connected"},
                     "172.20.0.0/16": {"prefix": "172.20.0.0/16", "origin": "configured"}}
    assert [route["prefix"] for route in daemon.routes("localAddrs")] == ["100.64.0.1"] * (mode == "auto")
    tun.write(udp_packet("100.64.0.9", "192.168.7.77"))
    daemon.flush()
    (message,) = windows(daemon)
    assert message["subnetTraffic"] == [{"proto": 17, "src": "192.168.7.77:40001", "dst": "100.64.0.9:40000",
                                         "rxPkts": 1, "rxBytes": 28}]
    daemon.stop()


@pytest.mark.parametrize("mode", ["auto", "static"])
def test_connected_networks_after_reconfig(network, daemon, tun, mode):
    """Reconfig replaces the configured prefixes; the networks of the word "connected" stay, and follow the machine."""
    Tun(network, tun.namespace, "192.168.7.1/24")
    daemon.configure({"routes": {"mode": mode, "subnet-route": "connected,172.20.0.0/16"}})
    daemon.start()
    daemon.call("Reconfig", routes={"localAddrs": [], "routes": [], "subnetRoutes": ["172.21.0.0/16"]})
    Tun(network, tun.namespace, "192.168.8.1/24")

    def shown():
        for _ in range(2):
            daemon.flush()
        return {route["prefix"]: route["origin"] for route in daemon.routes("subnetRoutes")}

    assert shown() == {"192.168.7.0/24": "found", "192.168.8.0/24": "found", "172.21.0.0/16": "reconfigured"}
    daemon.call("Reload")
    assert shown() == {"192.168.7.0/24": "found", "192.168.8.0/24": "found", "172.20.0.0/16": "configured"}
    daemon.stop()


def test_other_routes_cost_nothing(daemon, tun, network):
    """Thousands of routes that come, and some that flap, make the daemon read nothing and wake it for nothing."""
    other = Tun(network, tun.namespace, "192.168.7.1/24")
    daemon.start()
    before = daemon.status()["routes"]
    lines = [f"route add 10.{i // 250}.{i % 250}.0/24 dev {other.interface}\n" for i in range(5000)]
    tun.namespace.run("ip", "-batch", "-", stdin="".join(lines))
    for _ in range(20):
        tun.namespace.ip("route", "del", "10.0.7.0/24", "dev", other.interface)
        tun.namespace.ip("route", "add", "10.0.7.0/24", "dev", other.interface)
    daemon.flush()
    after = daemon.status()["routes"]
    assert (after["kernelReads"], after["kernelChanges"]) == (before["kernelReads"], before["kernelChanges"])
    tun.namespace.ip("route", "add", "10.200.0.0/16", "dev", tun.interface)
    daemon.flush()
    assert "10.200.0.0/16" in [route["prefix"] for route in daemon.routes("routes")]
    assert daemon.status()["routes"]["kernelReads"] == before["kernelReads"]
    daemon.stop()


@pytest.mark.parametrize("sock", ["auto", "none"])
def test_peers_of_a_tunnel(network, netlogd, wireguard, sock):
    """Their allowed IPs are routes, single addresses the tailnet's, even when the physical layer is not counted."""
    left, right = wireguard
    # As with wg-quick: the interface has only its own address.
    left.namespace.ip("address", "flush", "dev", left.interface)
    left.namespace.ip("address", "add", "10.9.0.1/32", "dev", left.interface)
    left.namespace.run("wg", "set", left.interface, "peer", right.public_key, "allowed-ips", "10.9.0.2/32,10.1.0.0/16")
    left.namespace.ip("route", "add", "10.0.0.0/8", "dev", left.interface)
    daemon = netlogd(left.namespace, {"tun": {"interface": left.interface}, "sock": {"source": sock},
                                      "record": {"period": "1h"}}).start()
    with traffic.udp_socket(left.namespace, "10.9.0.1", 40000) as socket:
        for destination in "10.9.0.2", "10.1.2.3":
            socket.sendto(bytes(100), (destination, 40001))
    daemon.flush()
    routes = {route["prefix"]: route.get("foundBy") for route in daemon.routes("routes")}
    assert routes == {"10.0.0.0/8": "kernel", "10.1.0.0/16": "peer", "10.9.0.2": "peer"}
    found = {dst: name for dst, name in classes(windows(daemon)[-1]).items() if name != "physicalTraffic"}
    assert found == {"10.9.0.2": "virtualTraffic", "10.1.2.3": "subnetTraffic"}
    shown = daemon.ctl("routes", "show").stdout
    if sock == "auto":
        with daemon.client() as client:
            (peer,) = [peer for part in client.stream("GetPeers") for peer in part["peers"]]
        assert (peer["addresses"], peer["allowedIps"], peer["publicKey"]) == (["10.9.0.2"], 2, right.public_key)
        assert peer["endpoint"] and peer["txBytes"] > 0
        assert right.public_key in daemon.ctl("peers", "--keys").stdout
        assert right.public_key not in daemon.ctl("peers").stdout
        left.namespace.run("wg", "set", left.interface, "peer", right.public_key, "remove")
        daemon.flush()
        assert daemon.ctl("peers").stdout == f"no peers are known: {left.interface} had none at the end of the last window\n"
    else:
        assert "no peers are known: with [sock] source=none " in daemon.ctl("peers").stdout
    assert any(line.split() == ["route", "10.1.0.0/16", "found", "peer"] for line in shown.splitlines()), shown
    daemon.stop()
