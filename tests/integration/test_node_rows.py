# SPDX-License-Identifier: BSD-3-Clause
"""One node, one row: what netlogctl makes of the nodes that messages name."""
import json
import random
import socket
from collections import defaultdict

import pytest

from lib.daemon import program
from lib.process import run
from lib.uploader import spool_fill
from lib.wait import wait_until
from test_views import WINDOWS, rows, talk


def at(second):
    return f"2026-11-22T20:{second // 60:02}:{second % 60:02}Z"


def message(second, virtual=(), physical=(), **members):
    lists = {"virtualTraffic": list(virtual), "physicalTraffic": list(physical)}
    return {"logtail": {"client_time": at(second), "proc_id": 5, "proc_seq": second + 1}, "start": at(second), "end": at(second),
            **members, **{name: entries for name, entries in lists.items() if entries}}


def entry(src, dst, tx=1, rx=0, **more):
    return {"proto": 17, "src": src, "dst": dst, "txBytes": tx, "rxBytes": rx, **more}


def node(node_id, name, *addresses):
    return {"nodeId": node_id, "name": name, "addresses": list(addresses)}


@pytest.fixture
def spool_of(directory):
    """Makes a spool of messages; gives what runs netlogctl over it."""
    def make(messages):
        lines = directory / "lines"
        lines.write_text("".join(json.dumps(one) + "\n" for one in messages), encoding="utf-8")
        run([spool_fill(), directory / "spool", 0, "--lines", lines])

        def ctl(command, *options, check=True):
            return run([program("netlogctl"), command, "--spool", directory / "spool", *options], check=check)
        return ctl
    return make


def labels(text):
    return {row[1]: row[2:4] for row in rows(text)}


def test_names_of_all_kinds(spool_of):
    """Whatever a name is made of, it steers no terminal and no page, and is the same text in JSON."""
    names = ["a\x1b[31mred", "b\u202egnp.exe", "c\"quoted\"'<b>&", "d\ttab\nline\r", "e\u2066\u2028x", "日本", "f\\", "g%s%n"]
    nodes = [node(f"n{i}", name, f"100.64.0.{i + 2}", f"fd00::{i + 2:x}") for i, name in enumerate(names)]
    entries = [entry("100.64.0.1:1", f"{address}:53", 10 + i, rxDrops=1)
               for i, one in enumerate(nodes) for address in (one["addresses"][0], f"[{one['addresses'][1]}]")]
    ctl = spool_of([message(0, entries, dstNodes=nodes)])
    shown = ["a?[31mred", "b?gnp.exe", "c\"quoted\"'<b>&", "d?tab?line?", "e??x", "日本", "f\\", "g%s%n"]
    table = ctl("flows", "--by", "peer").stdout
    assert {row[1]: row[2] for row in rows(table)} == {name: f"{2 * (10 + i)} B" for i, name in enumerate(shown)}
    denied = ctl("denied").stdout
    assert len(rows(denied)) == len(names)
    page = ctl("report").stdout
    tail = run([program("netlogctl"), "format", "--resolve"], stdin=ctl("flows", "--json").stdout).stdout
    for text in table, denied, page, tail:
        assert not any(ord(c) < 32 and c != "\n" or c in "\x7f\u202e\u2066\u2028" for c in text), ascii(text)
    for name in shown:
        assert f" {name}:53 " in tail
    assert "<b>" not in page and "&lt;&gt; c&quot;quoted&quot;&#39;&lt;b&gt;&amp;:53</td>" in page
    found = json.loads(ctl("flows", "--by", "peer", "--json").stdout)["rows"]
    assert {row["dstNode"]["name"]: row["dstNode"]["addresses"] for row in found} == {
        one["name"]: one["addresses"] for one in nodes}
    for i, name in enumerate(names):
        if "\n" not in name:
            assert len(rows(ctl("flows", "--by", "peer", "--node", name).stdout)) == 1, (i, name)


def test_many_nodes_in_a_message(spool_of):
    """10,000 nodes with traffic of all of them: one row each, and the resolved table does not take minutes."""
    nodes = [node(f"n{i:05}", f"node-{i}", f"100.64.{i // 250}.{i % 250}", f"fd00::{i + 1:x}") for i in range(10000)]
    entries = [entry("10.0.0.1:5", f"100.64.{i // 250}.{i % 250}:53", i + 1) for i in range(10000)]
    entries += [entry("10.0.0.1:5", f"[fd00::{i + 1:x}]:53", i + 1) for i in range(10000)]
    ctl = spool_of([message(0, entries, dstNodes=nodes)])
    found = json.loads(ctl("flows", "--by", "peer", "--json").stdout)["rows"]
    assert {row["dstName"]: row["txBytes"] for row in found} == {f"node-{i}": 2 * (i + 1) for i in range(10000)}
    # Not if all nodes were searched for both ends of each of 20,000 lines.
    tail = run([program("netlogctl"), "format", "--resolve"], stdin=ctl("flows", "--json").stdout, timeout=60).stdout
    assert tail.count(" node-9999:53 ") == 2 and "100.64." not in tail and "fd00" not in tail


def test_whatever_addresses_are(spool_of):
    """Messages of others: a node that is wrong costs its name, and not the counts."""
    wrong = [{"nodeId": "n1"}, {"nodeId": "n2", "addresses": None}, {"nodeId": "n3", "addresses": "100.64.0.3"},
             {"nodeId": "n4", "addresses": [4, None, [], "100.64.0.4"]}, {"nodeId": 5, "addresses": ["100.64.0.5"]},
             {"name": "six", "addresses": ["100.64.0.6", "100.64.0.6/32", "x"]}, 7, None, "100.64.0.8", [{}], {}]
    entries = [entry("100.64.0.1:1", f"100.64.0.{i}:53", i) for i in range(2, 10)]
    ctl = spool_of([message(0, entries, dstNodes=wrong, srcNode={"addresses": {"a": "100.64.0.1"}, "nodeId": []})])
    result = ctl("flows", "--by", "peer")
    assert result.stderr == ""
    assert labels(result.stdout) == {**{f"100.64.0.{i}": [f"{i} B", "0 B"] for i in (2, 3, 5, 7, 8, 9)},
                                     "n4": ["4 B", "0 B"], "six": ["6 B", "0 B"]}


def test_a_node_by_its_name(spool_of):
    """All that is the node's: by any of its addresses, in messages before it was named and after it was renamed."""
    ctl = spool_of([
        message(0, [entry("10.0.0.1:5", "10.0.0.2:53", 1), entry("10.0.0.1:5", "10.0.0.9:53", 100)]),
        message(10, [entry("10.0.0.1:5", "[fd00::2]:53", 2)], dstNodes=[node("n2", "old.example.net", "10.0.0.2", "fd00::2")]),
        message(20, [entry("10.0.0.1:5", "10.0.0.2:53", 4)], [entry("10.0.0.2:0", "10.0.0.9:51820", 8)]),
        message(30, [entry("10.0.0.1:5", "10.0.0.2:53", 16)], dstNodes=[node("n2", "laptop", "10.0.0.2")]),
        message(40, [entry("10.0.0.1:5", "10.0.0.2:53", 32)], dstNodes=[node("n3", "other", "10.0.0.2")]),
        message(50, [entry("10.0.0.1:5", "[fd00::2]:53", 64), entry("10.0.0.1:5", "10.0.0.2:53", 200)]),
        message(60, [entry("[fd00::2]:9", "10.0.0.2:53", 1000)])])

    def sent(*options):
        return {row["class"]: row["txBytes"] for row in json.loads(ctl("flows", "--json", "--by", "class", *options).stdout)["rows"]}
    for name in "laptop", "n2", "old.example.net", "old", "fd00::2":
        assert sent("--node", name) == {"virtual": 1 + 2 + 4 + 16 + 64 + 1000, "physical": 8}, name
    assert sent("--addr", "laptop") == sent("--node", "laptop")
    assert sent("--addr", "fd00::2") == {"virtual": 1066}
    assert sent("--node", "other") == {"virtual": 1232}
    assert sent("--node", "laptop", "--addr", "other") == {"virtual": 1000}
    # Whose it was before the time that is asked for, and whose it is only after it, counts as well.
    assert sent("--node", "laptop", "--since", at(15), "--until", at(25)) == {"virtual": 4, "physical": 8}
    assert sent("--node", "laptop", "--until", at(5)) == {"virtual": 1}
    assert sent("--node", "other", "--until", at(5)) == {}
    assert sent("--node", "other", "--since", at(45), "--until", at(55)) == {"virtual": 200}
    assert sent("--node", "10.0.0.9") == {"virtual": 100}
    assert [json.loads(line)["logtail"]["proc_seq"] for line in ctl("flows", "--json", "--node", "laptop").stdout.splitlines()] == [
        1, 11, 21, 31, 51, 61]
    assert labels(ctl("flows", "--by", "peer", "--class", "virtual").stdout) == {
        "other": ["1.20 KiB", "0 B"], "10.0.0.9": ["100 B", "0 B"], "laptop": ["87 B", "0 B"]}
    unknown = ctl("flows", "--node", "lap", check=False)
    assert (unknown.returncode, unknown.stdout) == (1, "") and ' names a node "lap"\n' in unknown.stderr


def test_live_and_from_the_spool(network, netlogd, directory):
    """A real tunnel with two addresses at each end: one row in all commands."""
    left, right = network.wireguard_pair(addresses6=("fd00::1", "fd00::2"))
    network.handshake((left, right))
    nodes = directory / "nodes.json"
    nodes.write_text(json.dumps({"nodes": [node("n1", "gate", left.address, left.address6),
                                           node("n2", "laptop", right.address, right.address6)]}), encoding="utf-8")
    daemon = netlogd(left.namespace, {**WINDOWS, "node": {"nodes-file": nodes, "id": "n1"},
                                      "routes": {"tailnet": "100.64.0.0/10,fd00::/8"},
                                      "tun": {"interface": left.interface, "source": "ebpf"}}).start()
    assert daemon.status()["drops"]["state"] == "counting", "no drops can be told"
    left.namespace.run("nft", "-f", "-", stdin="""table inet t { chain input {
        type filter hook input priority 0; udp dport 6002 counter drop; }; }""")
    commands = {name: left.namespace.start(program("netlogctl"), "--socket", daemon.control_socket, *options, name=name)
                for name, options in {"top": ("--json", "top", "--by", "pair", "--count", "1"), "tail": ("tail", "--resolve"),
                                      "denied": ("--json", "denied", "--count", "1")}.items()}
    wait_until(lambda: daemon.status()["control"]["tails"] == 3, "the three streams")
    talk(right, left, 500, 6000)
    for family, here, there in (socket.AF_INET, left.address, right.address), (socket.AF_INET6, left.address6, right.address6):
        with right.namespace.inside():
            sock = socket.socket(family, socket.SOCK_DGRAM)
        with sock:
            sock.bind((there, 7000))
            sock.sendto(bytes(100), (here, 6002))
    wait_until(lambda: "packets 2 " in left.namespace.run("nft", "list", "ruleset").stdout, "both dropped datagrams")
    daemon.flush()

    assert commands["top"].wait() == commands["denied"].wait() == 0
    top, = [row for row in json.loads(commands["top"].text())["rows"] if row["class"] == "virtual"]
    ends = {top[end]["nodeId"]: top[end]["addresses"] for end in ("srcNode", "dstNode")}
    assert ends == {"n1": [left.address, left.address6], "n2": [right.address, right.address6]}
    # 5,000 bytes of the service, and two datagrams of 100.
    assert top["txBytes"] > 5000 and top["rxBytes"] >= 128 + 148 and top["rxDrops"] == 2 and top["starts"] == 1
    wait_until(lambda: "laptop:7000" in commands["tail"].text(), "the messages in tail")
    commands["tail"].terminate()
    assert left.address not in commands["tail"].text() and right.address6 not in commands["tail"].text()
    dropped, = json.loads(commands["denied"].text())["rows"]
    assert (dropped["fromName"], dropped["toName"], dropped["rxDrops"], dropped["reason"]) == ("laptop", "gate", 2, "NETFILTER_DROP")
    assert dropped["fromNode"]["addresses"] == [right.address, right.address6]

    spooled = rows(daemon.ctl("flows", "--class", "virtual", "--by", "pair").stdout)
    assert [row[1] for row in spooled] == ["laptop > gate"]
    assert [row[1:5] for row in rows(daemon.ctl("denied", "--since", "1h").stdout)] == [["laptop", "gate:6002", "2", "-"]]
    assert daemon.ctl("flows", "--node", "laptop", "--by", "class", "--class", "virtual").stdout == daemon.ctl(
        "flows", "--by", "class", "--class", "virtual").stdout
    assert daemon.ctl("report", "--output", "-").stdout.count('<td class="t">udp gate:6002</td>') == 1


class Reference:
    """Whose each address is at each message, by the manual's words; slow and plain."""

    def __init__(self, messages):
        self.names, self.all_names, self.joined = {}, defaultdict(set), {}
        self.addresses = defaultdict(set)
        self.given = defaultdict(list)
        for number, one in enumerate(messages):
            self.learn(number, [one[name] for name in ("srcNode",) if name in one] + one.get("dstNodes", []))

    def latest(self, node_id):
        while node_id in self.joined:
            node_id = self.joined[node_id]
        return node_id

    def learn(self, number, nodes):
        for one in nodes:
            node_id = self.latest(one["nodeId"])
            self.names[node_id] = one["name"]
            self.all_names[node_id] |= {one["name"], one["nodeId"]}
            for address in one["addresses"]:
                given = self.given[address]
                if given and given[-1][0] == number:
                    continue
                before = self.latest(given[-1][1]) if given else None
                if before not in (None, node_id) and self.names[before] == self.names[node_id]:
                    self.joined[before] = node_id
                    self.addresses[node_id] |= self.addresses[before]
                    self.all_names[node_id] |= self.all_names[before]
                self.addresses[node_id].add(address)
                given.append((number, node_id))

    def owner(self, number, address):
        """The node's id, else the address."""
        given = self.given[address]
        if not given:
            return address
        return self.latest(([node_id for at_number, node_id in given if at_number <= number] or [given[0][1]])[-1])


def split(endpoint):
    address, _, port = endpoint.rpartition(":")
    return address.strip("[]"), int(port)


def group(reference, by, number, kind, one):
    """The row's key, and whether its counts are told from the other end."""
    (src, src_port), (dst, dst_port) = split(one["src"]), split(one["dst"])
    left = reference.owner(number, src)
    right = dst if kind == "physical" else reference.owner(number, dst)
    opener = one.get("init")
    service = (opener == "src") if opener else src_port == 0 or 0 < dst_port < src_port
    if kind == "physical":
        return {"node": (None,), "client": (None,), "peer": (left,), "pair": (None, left), "service": (one["proto"], right, dst_port)}[by], False
    if by == "pair":
        return tuple(sorted((left, right))), left > right
    return {"node": (left,), "peer": (right,), "client": (left if service else right,),
            "service": (one["proto"], right, dst_port) if service else (one["proto"], left, src_port)}[by], False


def reference_sums(reference, messages, by, wanted=None):
    sums = defaultdict(lambda: [0, 0])
    for number, one in enumerate(messages):
        for kind in "virtual", "physical":
            for flow in one.get(f"{kind}Traffic", []):
                ends = {reference.owner(number, split(flow["src"])[0])}
                if kind == "virtual":
                    ends.add(reference.owner(number, split(flow["dst"])[0]))
                if wanted and not any(wanted in reference.all_names[end] for end in ends):
                    continue
                key, turned = group(reference, by, number, kind, flow)
                counts = (flow["rxBytes"], flow["txBytes"]) if turned else (flow["txBytes"], flow["rxBytes"])
                if by == "pair" and key[0] == key[-1]:
                    counts = sum(counts), 0
                sums[kind, *key] = [a + b for a, b in zip(sums[kind, *key], counts)]
    return dict(sums)


def end_of(row, end, text):
    return row[f"{end}Node"]["nodeId"] if f"{end}Node" in row else text


def told_sums(output, by):
    """The same of what netlogctl printed."""
    sums = {}
    for row in json.loads(output)["rows"]:
        kind, label, counts = row["class"], row["label"], [row["txBytes"], row["rxBytes"]]
        if by == "pair" and kind != "physical":
            ends = [end_of(row, end, split(row[end])[0]) for end in ("src", "dst")]
            key, counts = tuple(sorted(ends)), counts if ends[0] <= ends[1] else counts[::-1]
            # What a node sends to itself has no direction.
            counts = [sum(counts), 0] if ends[0] == ends[1] else counts
        elif by == "pair":
            key = None, end_of(row, "dst", split(row["dst"])[0])
        elif by == "service":
            address, port = split(label.removeprefix("udp "))
            key = 17, end_of(row, "dst", address), port
        elif by == "peer":
            key = end_of(row, "dst", label),
        else:
            key = None if label == "this node" else end_of(row, "src", label),
        assert (kind, *key) not in sums, f"two rows of {key}"
        sums[kind, *key] = counts
    return sums


def random_messages(chance):
    """A fleet in which nodes get, leave and swap addresses, names and ids; not every message tells of it."""
    pool = [f"10.0.0.{n}" for n in range(2, 18)] + [f"fd00::{n:x}" for n in range(2, 10)]
    fleet = {f"n{i}": {"name": chance.choice(("db", f"name{i}")), "addresses": chance.sample(pool, 2)} for i in range(6)}
    for second in range(chance.randrange(2, 40)):
        for node_id in list(fleet):
            if chance.random() < 0.05:
                fleet[node_id]["name"] = chance.choice(("db", f"new{second}", f"name{node_id}"))
            if chance.random() < 0.1:
                fleet[node_id]["addresses"] = chance.sample(pool, chance.randrange(0, 4))
            if chance.random() < 0.05:
                # The same node with another id.
                fleet[f"x{second}{node_id}"] = fleet.pop(node_id)
        nodes = [node(node_id, one["name"], *one["addresses"]) for node_id, one in fleet.items() if chance.random() < 0.4]
        chance.shuffle(nodes)
        members = {"srcNode": nodes[0], "dstNodes": nodes[1:]} if len(nodes) > 2 else {"dstNodes": nodes} if nodes else {}

        def end(port, second_pool=pool):
            address = chance.choice(second_pool)
            return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"

        def flow(port):
            more = chance.choice(({}, {"init": "src"}, {"init": "dst"}))
            return entry(end(port), end(chance.choice((53, 80, 443))), chance.randrange(1, 1 << 30), chance.randrange(1 << 30), **more)
        yield message(second, [flow(chance.choice((53, 7000))) for _ in range(chance.randrange(1, 9))],
                      [entry(end(0), end(chance.choice((3, 51820)), ["127.3.3.40", *pool]), chance.randrange(1 << 30))
                       for _ in range(chance.randrange(3))], **members)


@pytest.mark.parametrize("seed", range(12))
def test_as_a_reference(spool_of, seed):
    """Random fleets: each row, of each group, and of each node that is asked for, is as a plain program has it."""
    chance = random.Random(seed)
    messages = list(random_messages(chance))
    ctl, reference = spool_of(messages), Reference(messages)
    for by in "node", "peer", "pair", "client", "service":
        output = ctl("flows", "--json", "--by", by).stdout
        assert told_sums(output, by) == reference_sums(reference, messages, by), by
        for row in json.loads(output)["rows"]:
            for end in "srcNode", "dstNode":
                if end in row:
                    node_id = row[end]["nodeId"]
                    assert row[end]["name"] == reference.names[node_id]
                    assert set(row[end]["addresses"]) == reference.addresses[node_id]
                    assert len(row[end]["addresses"]) == len(reference.addresses[node_id])
    known = sorted({text for names in reference.all_names.values() for text in names})
    for wanted in chance.sample(known, min(3, len(known))):
        told = told_sums(ctl("flows", "--json", "--by", "peer", "--node", wanted).stdout, "peer")
        assert told == reference_sums(reference, messages, "peer", wanted), wanted
