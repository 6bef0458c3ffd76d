# SPDX-License-Identifier: BSD-3-Clause
"""A hub, two clients and the networks behind them, joined by OpenVPN or nebula as their documentation has it."""
import json

from .network import Tunnel
from .process import run
from .setups import reach
from .vpn import certificate
from .wait import wait_until

INTERNET = "203.0.113.9"
HUB_ENDPOINTS = {"laptop": "198.51.100.1", "office": "198.51.100.5"}


class Site:
    """The hub's machine, a laptop, and the router of an office, whose network is 10.50.0.0/16.

    Behind the hub: its own network, where 192.168.7.9 is; and the Internet, where 203.0.113.9 is.
    """

    def __init__(self, network):
        self.network = network
        self.hub = network.namespace(ipv6=True)
        self.laptop, self.office = network.namespace(ipv6=True), network.namespace(ipv6=True)
        self.inside, self.internet = network.namespace(), network.namespace()
        for number, (name, endpoint) in enumerate(HUB_ENDPOINTS.items()):
            client = getattr(self, name)
            network.veth(self.hub, client, f"{endpoint}/30", f"198.51.100.{2 + 4 * number}/30")
            # The second also when the first leads into the tunnel.
            for destination in "default", "198.51.100.0/24":
                client.ip("route", "add", destination, "via", endpoint)
        network.veth(self.hub, self.inside, "192.168.7.1/24", "192.168.7.9/24")
        self.inside.ip("route", "add", "default", "via", "192.168.7.1")
        self.uplink, _ = network.veth(self.hub, self.internet, "203.0.113.1/24", f"{INTERNET}/24")
        self.internet.ip("route", "add", "default", "via", "203.0.113.1")
        self.office.ip("address", "add", "10.50.0.1/16", "dev", "lo")
        for router in self.hub, self.office:
            router.sysctl("net.ipv4.ip_forward", 1)
        self.ends = {}

    def started(self, name, kind, address, start):
        """Starts a program by start(interface), and waits for its interface and address."""
        namespace = getattr(self, name)
        interface = self.network.interface_name(kind)
        end = Tunnel(namespace, interface, address, process=start(namespace, interface))

        def up():
            if not namespace.interface_exists(interface):
                return not end.process.running
            link = namespace.ip_json("address", "show", "dev", interface)[0]
            return address in [info["local"] for info in link["addr_info"]] and "UP" in link["flags"]

        wait_until(up, f"{interface} with its address")
        assert end.process.running, end.process.text()
        self.ends[name] = end
        return end


class Openvpn(Site):
    """An OpenVPN server on the hub, with certificates of its own for each end."""

    def __init__(self, network):
        super().__init__(network)
        self.prints = {name: certificate(network.directory, name) for name in ("hub", "laptop", "office")}
        self.folder = network.directory / "clients"
        self.folder.mkdir()

    def _start(self, name, *lines):
        own = self.network.directory / name
        others = [fingerprint for other, fingerprint in self.prints.items() if (name == "hub") != (other == "hub")]
        config = self.network.directory / f"{name}.ovpn"

        def start(namespace, interface):
            config.write_text("\n".join([
                f"dev {interface}", "dev-type tun", "proto udp4", f"cert {own}.crt", f"key {own}.key", "verb 3",
                "<peer-fingerprint>", *others, "</peer-fingerprint>", *lines, ""]), encoding="utf-8")
            return namespace.start("openvpn", "--config", config, name=f"openvpn-{name}")

        return start

    def up(self, *server, topology="subnet", iroute=False):
        """Starts the server and both clients; server: more lines of its configuration."""
        net30 = topology == "net30"
        addresses = {"laptop": "10.8.0.6" if net30 else "10.8.0.2", "office": "10.8.0.10" if net30 else "10.8.0.3"}
        for name, address in addresses.items():
            other = "10.8.0." + str(int(address.rpartition(".")[2]) - 1) if net30 else "255.255.255.0"
            (self.folder / name).write_text(f"ifconfig-push {address} {other}\n" + (
                "iroute 10.50.0.0 255.255.0.0\n" if iroute and name == "office" else ""), encoding="utf-8")
        self.started("hub", "ov", "10.8.0.1", self._start(
            "hub", f"topology {topology}", "server 10.8.0.0 255.255.255.0", "dh none", "port 1194",
            f"client-config-dir {self.folder}", *server))
        for name, address in addresses.items():
            self.started(name, "ov", address, self._start(name, "client", f"remote {HUB_ENDPOINTS[name]} 1194", "nobind"))
            wait_until(lambda name=name: "Initialization Sequence Completed" in self.ends[name].process.text(), "its routes")
            reach(getattr(self, name), address, self.hub, "10.8.0.1")


class Nebula(Site):
    """nebula on all three; the hub is the lighthouse that tells the others where they are."""

    def __init__(self, network):
        super().__init__(network)
        directory = network.directory
        run(["nebula-cert", "ca", "-name", "netlogd test", "-out-crt", directory / "ca.crt", "-out-key", directory / "ca.key"])

    def node(self, name, address, subnets="", disabled=False, **tun):
        """The command line and the interface's name for one of the nodes; tun: more of its section."""
        directory = self.network.directory
        files = directory / f"{name}.crt", directory / f"{name}.key"
        run(["nebula-cert", "sign", "-ca-crt", directory / "ca.crt", "-ca-key", directory / "ca.key", "-name", name,
             "-ip", f"{address}/24", "-subnets", subnets, "-out-crt", files[0], "-out-key", files[1]])
        lighthouse = name == "hub"
        allow = [{"port": "any", "proto": "any", "host": "any"}]

        def start(namespace, interface):
            config = directory / f"{name}.yml"
            # JSON is YAML too.
            config.write_text(json.dumps({
                "pki": {"ca": str(directory / "ca.crt"), "cert": str(files[0]), "key": str(files[1])},
                "static_host_map": {} if lighthouse else {"10.7.0.1": [f"{HUB_ENDPOINTS[name]}:4242"]},
                "lighthouse": {"am_lighthouse": lighthouse, "interval": 60, "hosts": [] if lighthouse else ["10.7.0.1"]},
                "listen": {"host": "0.0.0.0", "port": 4242},
                "tun": {"disabled": disabled, "dev": interface, "mtu": 1300, **tun},
                "logging": {"level": "info", "format": "text"},
                "firewall": {"outbound": allow, "inbound": allow},
            }), encoding="utf-8")
            return namespace.start("nebula", "-config", config, name=f"nebula-{name}")

        return start

    def up(self, routes=(), subnets="10.50.0.0/16", hub_subnets=""):
        """routes: the laptop's unsafe_routes, as (destination, via). subnets: what the office's certificate allows."""
        self.started("hub", "ne", "10.7.0.1", self.node("hub", "10.7.0.1", hub_subnets))
        self.started("office", "ne", "10.7.0.3", self.node("office", "10.7.0.3", subnets))
        self.started("laptop", "ne", "10.7.0.2", self.node(
            "laptop", "10.7.0.2", unsafe_routes=[{"route": route, "via": via} for route, via in routes]))
        # Both are known to the lighthouse then.
        for name in "office", "laptop":
            wait_until(lambda name=name: getattr(self, name).run("ping", "-c", "1", "-W", "1", "10.7.0.1", check=False)
                       .returncode == 0, f"the lighthouse to know {name}")
        wait_until(lambda: self.laptop.run("ping", "-c", "1", "-W", "1", "10.7.0.3", check=False).returncode == 0,
                   "the laptop to know the office's router")
