# SPDX-License-Identifier: BSD-3-Clause
"""Who is who: the names in a WireGuard configuration, the host's name, the operator's nodes, and what becomes of them."""
import contextlib
import json
import os
import re
import socket

import pytest

from lib import traffic
from lib.broker import Broker
from lib.probe import Probe
from lib.setups import last_window, wireguard_key
from lib.wait import wait_until

PRIVATE, SHARED = wireguard_key().private, wireguard_key().private


def peer_section(end, *lines):
    return "\n".join(["[Peer]", f"PublicKey = {end.public_key}", f"PresharedKey = {SHARED}", *lines, ""])


def configuration(end, comment):
    """As wg-quick reads it, with secrets and comments that are no names."""
    return "\n".join(["# hub of the office", "[Interface]", f"PrivateKey = {PRIVATE} # made in May", "Address = 100.64.0.1/32",
                      f"# old: {PRIVATE}", "", comment, peer_section(end, f"# PresharedKey = {SHARED}", "AllowedIPs = 100.64.0.2/32")])


@pytest.fixture
def file(directory):
    return directory / "names.conf"


@pytest.fixture
def tunnel(network):
    left, right = network.wireguard_pair()
    left.namespace.run("wg", "set", left.interface, "peer", right.public_key, "allowed-ips", "100.64.0.2/32,fd7a:115c:a1e0::2/128")
    network.handshake((left, right))
    return left, right


def sections(left, **more):
    return {"tun": {"interface": left.interface}, "record": {"period": "1h"}, **more}


def node(end, name, *addresses):
    return {"nodeId": end.public_key, "name": name, "addresses": list(addresses or ("100.64.0.2", "fd7a:115c:a1e0::2"))}


def window(daemon, left, right):
    """The message of a window with traffic in both layers."""
    traffic.send_udp(left, right, 3, 100)
    (message,) = [message for message in last_window(daemon) if "virtualTraffic" in message]
    return message


def listed(daemon, method, member):
    with daemon.client() as client:
        return [item for part in client.stream(method) for item in part[member]]


def test_names_follow_the_file(tunnel, netlogd, file):
    """Written in place, replaced, removed, made again: from the next window's end on, everywhere."""
    left, right = tunnel
    file.write_text(configuration(right, "# friendly_name = \"Anna's\" lap\u202etop\x1b[31m"), encoding="utf-8")
    daemon = netlogd(left.namespace, sections(left, node={"id": "gate", "wireguard-names": file})).start()
    name = "\"Anna's\" lap?top?[31m"
    message = window(daemon, left, right)
    assert message["nodeId"] == "gate"
    assert message["srcNode"] == {"nodeId": "gate", "name": "gate", "addresses": ["100.64.0.1"]}
    assert message["dstNodes"] == [node(right, name)]
    (peer,) = listed(daemon, "GetPeers", "peers")
    assert (peer["name"], peer["nodeId"], peer["publicKey"]) == (name, right.public_key, right.public_key)
    assert listed(daemon, "GetNodes", "nodes") == [{**node(right, name), "tags": []}]
    for command in ("peers",), ("nodes", "show"), ("flows", "--by", "pair"):
        shown = daemon.ctl(*command).stdout
        assert name in shown and "\u202e" not in shown and "\x1b" not in shown, shown
    assert daemon.status()["nodes"] == 1

    replacement = file.with_suffix(".new")
    replacement.write_text(configuration(right, "### Client phone"), encoding="utf-8")
    replacement.rename(file)
    assert window(daemon, left, right)["dstNodes"] == [node(right, "phone")]
    file.write_text(configuration(right, "# tablet"), encoding="utf-8")
    assert window(daemon, left, right)["dstNodes"] == [node(right, "tablet")]
    file.unlink()
    assert window(daemon, left, right)["dstNodes"] == [node(right, right.public_key[:8])]
    file.write_text(configuration(right, "# Name = server."), encoding="utf-8")
    assert window(daemon, left, right)["dstNodes"] == [node(right, "server")]
    # One of 100 MB is not read, which is told, and the names stay.
    with open(file, "r+b") as large:
        large.truncate(100 * 1000 * 1000)
    assert window(daemon, left, right)["dstNodes"] == [node(right, "server")]
    warning = f"peers may be without their names: {file}: larger than 16 MiB: not read"
    assert daemon.status()["sock"]["warnings"] == [warning]
    assert daemon.log().count("larger than 16 MiB") == 1
    daemon.stop()
    spool = "".join(json.dumps(message) for message in daemon.spool_messages())
    assert not any(secret in spool + daemon.log() for secret in (PRIVATE, SHARED, "hub of the office", "made in May"))


def test_a_reload_takes_names_from_elsewhere(tunnel, netlogd, file, directory):
    left, right = tunnel
    daemon = netlogd(left.namespace, sections(left, node={"id": "gate", "wireguard-names": "none"})).start()
    message = window(daemon, left, right)
    assert not {"srcNode", "dstNodes"} & set(message)
    assert daemon.status()["nodes"] == 0
    for number, name in enumerate(("one", "two")):
        other = directory / f"{number}.conf"
        other.write_text(configuration(right, f"# {name}"), encoding="utf-8")
        daemon.configure({"node": {"wireguard-names": other}})
        daemon.reload()
        (peer,) = listed(daemon, "GetPeers", "peers")
        assert peer["name"] == name
        assert window(daemon, left, right)["dstNodes"] == [node(right, name)]
    daemon.configure({"node": {"wireguard-names": "none"}})
    daemon.reload()
    assert "dstNodes" not in window(daemon, left, right)
    assert daemon.status()["tun"]["conservationFailures"] == daemon.status()["sock"]["conservationFailures"] == 0
    daemon.stop()


def test_events_carry_names(tunnel, netlogd, file):
    left, right = tunnel
    file.write_text(configuration(right, "# laptop"), encoding="utf-8")
    daemon = netlogd(left.namespace, sections(left, node={"wireguard-names": file})).start()
    window(daemon, left, right)
    right.namespace.run("wg", "set", right.interface, "listen-port", "51999")
    traffic.send_udp(right, left, 3, 100)
    last_window(daemon)
    (message,) = [message for message in daemon.spool_messages() if message.get("event", {}).get("type") == "peer-moved"]
    assert message["text"] == "netlogd: peer laptop moved from 192.0.2.2:51821 to 192.0.2.2:51999"
    assert (message["event"]["peer"], message["event"]["nodeId"]) == ("laptop", right.public_key)
    daemon.stop()


def test_the_operator_goes_first(tunnel, netlogd, file, directory):
    """One address in the operator's list is enough for the whole peer; SetNodes stands in place of the file."""
    left, right = tunnel
    file.write_text(configuration(right, "# laptop"), encoding="utf-8")
    nodes = directory / "nodes.json"
    nodes.write_text(json.dumps({"nodes": [{"nodeId": "n2", "os": "linux", "addresses": ["fd7a:115c:a1e0::2"]},
                                           {"nodeId": "n1", "name": "hub", "addresses": ["100.64.0.1"]}]}))
    daemon = netlogd(left.namespace, sections(left, node={"id": "gate", "wireguard-names": file, "nodes-file": nodes})).start()
    message = window(daemon, left, right)
    assert message["srcNode"] == {"nodeId": "n1", "name": "hub", "addresses": ["100.64.0.1"]}
    assert message["dstNodes"] == [{"nodeId": "n2", "name": "laptop", "addresses": ["fd7a:115c:a1e0::2", "100.64.0.2"],
                                    "os": "linux"}]
    assert [found["nodeId"] for found in listed(daemon, "GetNodes", "nodes")] == ["n1", "n2"]
    daemon.call("SetNodes", nodes=[{"nodeId": right.public_key, "name": "given"}])
    message = window(daemon, left, right)
    assert message["srcNode"] == {"nodeId": "gate", "name": "gate", "addresses": ["100.64.0.1"]}
    assert message["dstNodes"] == [{**node(right, "given"), "addresses": ["100.64.0.2", "fd7a:115c:a1e0::2"]}]
    daemon.call("SetNodes", nodes=[])
    assert window(daemon, left, right)["dstNodes"] == [node(right, "laptop")]
    daemon.stop()


def test_a_peer_that_goes_has_its_name_until_the_windows_end(tunnel, netlogd, file):
    left, right = tunnel
    file.write_text(configuration(right, "# laptop"), encoding="utf-8")
    daemon = netlogd(left.namespace, sections(left, node={"id": "gate", "wireguard-names": file})).start()
    traffic.send_udp(left, right, 3, 100)
    left.namespace.run("wg", "set", left.interface, "peer", right.public_key, "remove")
    (message,) = [message for message in last_window(daemon) if "virtualTraffic" in message]
    assert message["srcNode"] == {"nodeId": "gate", "name": "gate", "addresses": ["100.64.0.1"]}
    assert message["dstNodes"] == [node(right, "laptop")]
    assert daemon.status()["nodes"] == 0
    # Packets for which the tunnel has no peer are nobody's.
    left.namespace.run("ping", "-c", "1", "-W", "1", right.address, check=False)
    (message,) = [message for message in last_window(daemon) if "virtualTraffic" in message]
    assert not {"srcNode", "dstNodes"} & set(message)
    daemon.stop()


def test_this_node_is_one_row(tunnel, netlogd, directory):
    """As the operator names it, by its id or by one of its addresses: all its addresses are its own."""
    left, right = tunnel
    left.namespace.ip("address", "add", "100.64.0.7/32", "dev", left.interface)
    nodes = directory / "nodes.json"
    nodes.write_text(json.dumps({"nodes": [{"nodeId": "gate", "os": "linux"}]}), encoding="utf-8")
    daemon = netlogd(left.namespace, sections(left, node={"id": "gate", "nodes-file": nodes})).start()
    own = ["100.64.0.1", "100.64.0.7"]
    for given in {"nodeId": "gate", "os": "linux"}, {"nodeId": "n1", "name": "hub", "addresses": own[1:]}:
        nodes.write_text(json.dumps({"nodes": [given]}), encoding="utf-8")
        daemon.reload()
        message = window(daemon, left, right)
        assert message["srcNode"] == {**given, "addresses": given.get("addresses", []) + [
            address for address in own if address not in given.get("addresses", ())]}
        assert [found["nodeId"] for found in message["dstNodes"]] == [right.public_key]
    rows = json.loads(daemon.ctl("flows", "--class", "virtual", "--by", "pair", "--json").stdout)["rows"]
    assert {frozenset((row["srcNode"]["nodeId"], row["dstNode"]["nodeId"])) for row in rows} == {
        frozenset((name, right.public_key)) for name in ("gate", "n1")}
    daemon.stop()


def test_the_host_is_the_node(tunnel, netlogd):
    left, right = tunnel
    daemon = netlogd(left.namespace, sections(left)).start()
    name = socket.gethostname()
    message = window(daemon, left, right)
    assert (message["nodeId"], message["srcNode"]["nodeId"]) == (name, name)
    assert daemon.status()["nodeId"] == name
    daemon.configure({"node": {"id": ""}})
    daemon.reload()
    message = window(daemon, left, right)
    assert not {"nodeId", "srcNode"} & set(message) and "nodeId" not in daemon.status()
    assert message["dstNodes"] == [node(right, right.public_key[:8])]
    daemon.stop()


@pytest.mark.parametrize("address, source", [(None, ""), ("100.64.0.2", "100.64.0.2:0")])
def test_a_peer_to_which_everything_goes(network, netlogd, address, source):
    """It has no address 0.0.0.0 in the physical layer, but the other side of the tunnel's address, if there is one."""
    left, right = network.wireguard_pair()
    left.namespace.run("wg", "set", left.interface, "peer", right.public_key, "allowed-ips", "0.0.0.0/0,::/0")
    if address:
        left.namespace.ip("address", "flush", "dev", left.interface)
        left.namespace.ip("address", "add", left.address, "peer", address, "dev", left.interface)
    network.handshake((left, right))
    daemon = netlogd(left.namespace, sections(left)).start()
    traffic.send_udp(left, right, 3, 100)
    physical = {(entry["src"], entry["dst"]) for message in last_window(daemon) for entry in message.get("physicalTraffic", [])}
    assert physical == {(source, "192.0.2.2:51821")}
    known = listed(daemon, "GetNodes", "nodes")
    assert known == [{**node(right, right.public_key[:8]), "addresses": [address] if address else [], "tags": []}]
    daemon.stop()


def test_the_operator_tells_the_address_of_such_a_peer(network, netlogd, directory):
    """By the public key, as nodeId: from the next window on, and not after the node has gone."""
    left, right = network.wireguard_pair()
    left.namespace.run("wg", "set", left.interface, "peer", right.public_key, "allowed-ips", "0.0.0.0/0")
    network.handshake((left, right))
    daemon = netlogd(left.namespace, sections(left)).start()

    def sources():
        traffic.send_udp(left, right, 3, 100)
        return {entry["src"] for message in last_window(daemon) for entry in message.get("physicalTraffic", [])}

    assert sources() == {""}
    daemon.call("SetNodes", nodes=[{"nodeId": right.public_key, "name": "hub", "addresses": ["100.64.0.2", "fd00::2"]}])
    sources()
    assert sources() == {"100.64.0.2:0"}
    daemon.call("SetNodes", nodes=[])
    sources()
    assert sources() == {""}
    assert daemon.status()["sock"]["conservationFailures"] == 0
    daemon.stop()


@pytest.mark.parametrize("allowed, addresses", [("0.0.0.0/0", []), ("10.9.0.0/24", []), ("10.9.0.0/24", ["10.9.0.0"])])
def test_one_name_for_a_peer_without_an_address(network, netlogd, directory, allowed, addresses):
    """The operator's, which only its key or its network tells: in the list, events and metrics alike."""
    left, right = network.wireguard_pair()
    network.handshake((left, right))
    left.namespace.run("wg", "set", left.interface, "peer", right.public_key, "allowed-ips", allowed)
    hub = {"nodeId": "n9" if addresses else right.public_key, "name": "hub", "addresses": addresses}
    nodes = directory / "nodes.json"
    nodes.write_text(json.dumps({"nodes": [hub]}), encoding="utf-8")
    daemon = netlogd(left.namespace, sections(left, node={"nodes-file": nodes})).start()
    right.namespace.run("wg", "set", right.interface, "listen-port", "51999")
    right.namespace.run("wg", "set", right.interface, "peer", left.public_key, "persistent-keepalive", "1")
    wait_until(lambda: "51999" in left.namespace.run("wg", "show", left.interface, "endpoints").stdout, "the new endpoint")
    last_window(daemon)
    (peer,) = listed(daemon, "GetPeers", "peers")
    assert (peer["name"], peer["nodeId"]) == ("hub", hub["nodeId"])
    (moved,) = [message for message in daemon.spool_messages() if message.get("event", {}).get("type") == "peer-moved"]
    assert moved["event"]["peer"] == "hub" and moved["text"].startswith("netlogd: peer hub moved from "), moved
    assert set(re.findall('peer="([^"]*)"', daemon.call("Metrics")["text"])) == {"hub", "other"}
    daemon.stop()


@pytest.mark.parametrize("alternative", [None, "berlin-east"])
def test_the_broker_reads_for_a_daemon_that_is_not_root(tunnel, directory, alternative):
    """/etc/wireguard is for root only: the broker hands out names, and nothing else of the file."""
    left, right = tunnel
    if alternative:
        left.namespace.ip("link", "property", "add", "dev", left.interface, "altname", alternative)
    folder = directory / "wireguard"
    folder.mkdir(mode=0o700)
    file = folder / f"{left.interface}.conf"
    file.write_text(configuration(right, "# friendly_name = laptop"), encoding="utf-8")
    file.chmod(0o600)
    with contextlib.closing(Broker(directory / "broker.sock", names=folder)) as broker, \
            contextlib.closing(Probe(left.namespace, "wireguard", alternative or left.interface, "none",
                                     broker=broker.path)) as device:
        assert device.enable() == 0

        def names():
            device.window()
            answer = device.ask("names")
            return [(peer["id"], peer["name"], peer["named"]) for peer in answer["peers"]], answer["identities"]

        named, first = names()
        assert named == [(right.public_key, "laptop", True)]
        assert names() == (named, first)
        file.write_text(configuration(right, "# phone"), encoding="utf-8")
        named, second = names()
        assert named == [(right.public_key, "phone", True)] and second != first
        file.unlink()
        assert names()[0] == [(right.public_key, right.public_key[:8], False)]
        file.write_text(configuration(right, "# tablet"), encoding="utf-8")
        assert names()[0] == [(right.public_key, "tablet", True)]
        # Another broker answers when one has ended.
        assert broker.end_connections() > 0
        file.write_text(configuration(right, "# server"), encoding="utf-8")
        assert names()[0] == [(right.public_key, "server", True)]

        with socket.socket(socket.AF_UNIX) as sock:
            sock.settimeout(20)
            sock.connect(str(broker.path))
            sock.sendall(f"interface={left.interface}\nnames=\n\n".encode())
            told = b""
            while not told.endswith(b"\n\n"):
                told += sock.recv(65536)
        key = bytes.fromhex(re.search("public_key=(.*)\n", told.decode())[1])
        assert re.fullmatch(r"token=[0-9a-f.-]*\npublic_key=[0-9a-f]{64}\nname=server\nerrno=0\n\n", told.decode())
        assert key.hex() in told.decode()
        for text in PRIVATE, SHARED, "Private", "Preshared", "100.64", "hub", "May", "old":
            assert text not in told.decode()
    assert os.listdir(folder) == [file.name]
