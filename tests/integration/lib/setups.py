# SPDX-License-Identifier: BSD-3-Clause
"""What the tests of docs/setups.md share: tunnels as their own tools set them up, and the class of what is sent."""
import collections
import os

from .network import Tunnel
from .process import run
from .traffic import entries, udp_socket
from .wait import wait_until

Key = collections.namedtuple("Key", ("private", "public"))
PORT, PORT_THERE = 40000, 40001


def wireguard_key():
    private = run(["wg", "genkey"]).stdout.strip()
    return Key(private, run(["wg", "pubkey"], stdin=private + "\n").stdout.strip())


# ---- wg-quick

def interface_section(own, *lines):
    return "\n".join(["[Interface]", f"PrivateKey = {own.private}", *lines, ""])


def peer_section(peer, *lines):
    return "\n".join(["[Peer]", f"PublicKey = {peer.public}", *lines, ""])


def wg_quick(network, namespace, text, interface=None):
    """Runs "wg-quick up" on a configuration; returns the tunnel's end.

    On a kernel without WireGuard, wg-quick runs a program that makes the interface. That one asks this process to do it,
    so that wireguard-go ends with the test.
    """
    interface = interface or network.interface_name("wg")
    folder = network.directory / f"wg-quick-{next(network.numbers)}"
    folder.mkdir()
    config, asked, answer = folder / f"{interface}.conf", folder / "asked", folder / "answer"
    config.write_text(text, encoding="utf-8")
    config.chmod(0o600)
    os.mkfifo(answer)
    program = folder / "make-interface"
    program.write_text(f"#!/bin/sh\n: > {asked}\nread -r _ < {answer}\n", encoding="utf-8")
    program.chmod(0o700)
    quick = namespace.start("wg-quick", "up", config, name="wg-quick",
                            env={"WG_QUICK_USERSPACE_IMPLEMENTATION": str(program)})
    wait_until(lambda: asked.exists() or not quick.running, "wg-quick to make its interface", 60, [quick.pidfd])
    end = Tunnel(namespace, interface, None)
    if asked.exists():
        end.process, _ = network.wireguard_go(namespace, interface)
        answer.write_text("made\n", encoding="ascii")
    assert quick.wait(60) == 0, quick.text()
    end.config = config
    return end


def wg_quick_down(end):
    end.namespace.run("wg-quick", "down", end.config)


# ---- what the kernel shows

def addresses(namespace, interface):
    """The interface's addresses as "ip address" shows them, without link-local ones."""
    found = []
    for info in namespace.ip_json("address", "show", "dev", interface)[0]["addr_info"]:
        if info["scope"] != "link":
            other = f" peer {info['address']}" if "address" in info else ""
            found.append(f"{info['local']}{other}/{info['prefixlen']}")
    return found


def routes(namespace, interface):
    """The destinations of the unicast routes through it, with their table unless that is main."""
    found = set()
    for family, default in ("-4", "0.0.0.0/0"), ("-6", "::/0"):
        for route in namespace.ip_json(family, "route", "show", "table", "all", "dev", interface):
            table = route.get("table", "main")
            if table == "local" or route.get("type", "unicast") != "unicast" or route["dst"].startswith("fe80::"):
                continue
            destination = default if route["dst"] == "default" else route["dst"]
            found.add(destination if table == "main" else f"{destination} table {table}")
    return found


def rules(namespace, family="-4"):
    """The lines of "ip rule", without those that are always there."""
    lines = [line.partition(":")[2].split() for line in namespace.ip(family, "rule", "show").splitlines()]
    usual = ["from", "all", "lookup"]
    return [" ".join(line) for line in lines if line not in ([*usual, "local"], [*usual, "main"], [*usual, "default"])]


# ---- what netlogd makes of it

def sections(interface, **more):
    """One window that ends when the test says so, with the addresses of exit traffic."""
    # The packets have no checksum, so that the kernel may drop them.
    record = {"period": "1h", "exit-traffic": "full", "drops": "no"}
    return {"tun": {"interface": interface}, "record": record, **more}


def send(namespace, *destinations, source=None):
    """A datagram to each address. Whoever gets it."""
    for destination in destinations:
        any_address = "::" if ":" in destination else "0.0.0.0"
        with udp_socket(namespace, source or any_address, PORT) as sock:
            sock.sendto(bytes(100), (destination, PORT_THERE))


def reach(sender, source, receiver, destination):
    """A datagram from one namespace to another, waited for there. Returns the source address that arrives."""
    with udp_socket(receiver, destination, PORT_THERE) as there, udp_socket(sender, source, PORT) as here:
        there.settimeout(20)
        here.sendto(bytes(100), (destination, PORT_THERE))
        data, address = there.recvfrom(1000)
    assert len(data) == 100
    return address[0]


def host(text):
    return text.rpartition(":")[0].strip("[]")


def last_window(daemon):
    """Ends the window and returns its messages."""
    before = len(daemon.spool_messages())
    daemon.flush()
    return daemon.spool_messages()[before:]


def classes(messages):
    """{(source, destination): class} of the test's datagrams, by address, in the node's view."""
    found = {}
    for name, entry in entries(messages):
        if name == "physicalTraffic" or not entry["src"]:
            continue
        ports = {int(entry[end].rpartition(":")[2]) for end in ("src", "dst")}
        if entry["proto"] == 17 and ports == {PORT, PORT_THERE}:
            found[host(entry["src"]), host(entry["dst"])] = name.removesuffix("Traffic")
    return found


def by_destination(messages):
    return {destination: name for (_, destination), name in classes(messages).items()}


def physical(messages):
    """{(peer's address, endpoint)} of the physical layer."""
    return {(host(entry["src"]), entry["dst"]) for _, entry in entries(messages, ["physicalTraffic"])}


class Counted:
    """A tunnel's end with netlogd on it."""

    def __init__(self, end, make_daemon, **more):
        self.namespace = end.namespace
        self.end = end
        # Emulated machines take their time.
        self.daemon = make_daemon(end.namespace, sections(end.interface, **more)).start(timeout=60)

    def kernel(self):
        """(addresses, routes) of the interface."""
        return addresses(self.namespace, self.end.interface), routes(self.namespace, self.end.interface)

    def classes_of(self, *destinations, source=None):
        """{destination: class} of a datagram to each in a window of its own; what does not take the tunnel is not there."""
        send(self.namespace, *destinations, source=source)
        return by_destination(last_window(self.daemon))

    def physical(self, *destinations, since=0, until=bool):
        """The physical layer's pairs in all messages but so many, when they are complete; sends to these until then."""
        def complete():
            send(self.namespace, *destinations)
            # The tunnel sends them in its own time.
            self.daemon.flush()
            return until(pairs()) and pairs()

        def pairs():
            return physical(self.daemon.spool_messages()[since:])

        return wait_until(complete, "the tunnel's datagrams")

    def peers(self):
        """{public key: (addresses, number of allowed IPs)}"""
        with self.daemon.client() as client:
            found = [peer for part in client.stream("GetPeers") for peer in part["peers"]]
        return {peer["publicKey"]: (peer["addresses"], peer["allowedIps"]) for peer in found}

    def stop(self):
        status = self.daemon.status()
        for layer in status["tun"], status["sock"], status["record"]:
            assert layer.get("conservationFailures", 0) == 0, layer
        self.daemon.stop()
