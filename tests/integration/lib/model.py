# SPDX-License-Identifier: BSD-3-Clause
"""SPEC 6 and 7 as plainly as possible: from routes and counts to the bytes of a window's messages.

Written from the contract alone and without regard to cost: an address is (family, number), a prefix is (family, number,
length), and every lookup walks a list.
"""
import calendar
import json
import time

COUNT_MAX = 2**63 - 1
COUNTS = ("txPkts", "txBytes", "rxPkts", "rxBytes")
CLASSES = ("virtual", "subnet", "exit", "physical")
BITS = {4: 32, 6: 128}
NONE = (0, 0)
MAPPED = 0xffff << 32


# ---- text

def ipv4_text(number):
    return ".".join(str(number >> shift & 0xff) for shift in (24, 16, 8, 0))


def zero_runs(groups):
    for start in range(8):
        length = 0
        while start + length < 8 and groups[start + length] == 0:
            length += 1
        if length >= 2:
            yield start, length


def address_text(address):
    family, number = address
    if family == 0:
        return ""
    if family == 4:
        return ipv4_text(number)
    if number >> 32 == MAPPED >> 32:
        return "::ffff:" + ipv4_text(number & 0xffffffff)
    groups = [number >> 16 * (7 - i) & 0xffff for i in range(8)]
    texts = [f"{group:x}" for group in groups]
    longest = max((length for _, length in zero_runs(groups)), default=0)
    for start, length in zero_runs(groups):
        if length == longest:
            return ":".join(texts[:start]) + "::" + ":".join(texts[start + length:])
    return ":".join(texts)


def endpoint_text(endpoint):
    address, port = endpoint
    if address == NONE:
        return ""
    text = address_text(address)
    return f"[{text}]:{port}" if address[0] == 6 else f"{text}:{port}"


def prefix_text(prefix):
    family, number, length = prefix
    return f"{address_text((family, number))}/{length}"


def time_text(nanoseconds):
    seconds, fraction = divmod(nanoseconds, 10**9)
    decimals = f".{fraction:09d}".rstrip("0").rstrip(".")
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds)) + decimals + "Z"


def time_number(text):
    whole, _, fraction = text.rstrip("Z").partition(".")
    return calendar.timegm(time.strptime(whole, "%Y-%m-%dT%H:%M:%S")) * 10**9 + int(fraction.ljust(9, "0"))


# ---- routes

def contains(prefix, address):
    shift = BITS[prefix[0]] - prefix[2]
    return prefix[0] == address[0] and prefix[1] >> shift == address[1] >> shift


def half(prefix):
    """(family, half) for half of a default route, or None."""
    family, number, length = prefix
    return (family, number >> (BITS[family] - 1)) if length == 1 else None


class Routing:
    """The three lists of prefixes, with the tailnet ranges."""

    def __init__(self, local_addrs, routes, subnet_routes, tailnet, exclude):
        self.local_addrs, self.tailnet, self.exclude = local_addrs, tailnet, exclude
        self.networks = [*routes, *subnet_routes]
        halves = {half(prefix) for prefix in self.networks}
        self.whole = {family for family in BITS if {(family, 0), (family, 1)} <= halves}

    def is_default(self, prefix):
        return prefix[2] == 0 or (prefix[2] == 1 and prefix[0] in self.whole)

    def within(self, address):
        if any(prefix[:2] == address for prefix in self.local_addrs):
            return True
        return any(contains(prefix, address) for prefix in self.networks if not self.is_default(prefix))

    def is_node(self, address):
        return (self.within(address) and any(contains(prefix, address) for prefix in self.tailnet)
                and not any(contains(prefix, address) for prefix in self.exclude))

    def classify(self, source, destination):
        ends = source, destination
        if all(self.is_node(end) for end in ends):
            return "virtual"
        if any(self.within(end) and not self.is_node(end) for end in ends):
            return "subnet"
        return "exit"


class Routes:
    """Three lists that change; a removed route still classifies until the window after the change has ended."""

    def __init__(self):
        self.window = 0
        self.lists = ([], [], [])
        self.removed = ([], [], [])  # (prefix, the last window for which it counts)

    def change(self, lists):
        for old, new, removed in zip(self.lists, lists, self.removed):
            removed += [(prefix, self.window + 1) for prefix in old if prefix not in new]
        self.lists = lists

    def end_window(self):
        self.window += 1

    def union(self):
        return [list(current) + [prefix for prefix, last in removed if last >= self.window]
                for current, removed in zip(self.lists, self.removed)]


# ---- a window

def saturated(a, b):
    return tuple(min(x + y, COUNT_MAX) for x, y in zip(a, b))


class Window:
    """Gathers entries: {(class, proto, source, destination): counts}."""

    def __init__(self, exit_traffic, ignored_addresses):
        self.exit_traffic, self.ignored_addresses = exit_traffic, ignored_addresses
        self.entries = {}
        self.ignored = (0, 0, 0, 0)

    def add(self, key, counts):
        if any(counts):
            self.entries[key] = saturated(self.entries.get(key, (0, 0, 0, 0)), counts)

    def add_tun(self, proto, source, destination, counts, routing):
        if destination[0] in self.ignored_addresses:
            self.ignored = saturated(self.ignored, counts)
            return
        name = routing.classify(source[0], destination[0])
        if name == "exit" and self.exit_traffic == "aggregate":
            proto, source, destination = 0, (NONE, 0), (NONE, 0)
        elif name == "exit" and self.exit_traffic == "anonymize":
            proto = 0
            source, destination = (((end[0] if routing.is_node(end[0]) else NONE), 0) for end in (source, destination))
        self.add((name, proto, source, destination), counts)

    def add_sock(self, source, destination, counts):
        self.add(("physical", 0, source, destination), counts)

    def sorted(self, name):
        keys = [key for key in self.entries if key[0] == name]
        return sorted(keys, key=lambda key: (key[2], key[3], key[1]))


# ---- messages

def compact(value):
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)


def entry_member(key, counts):
    _, proto, source, destination = key
    member = {"proto": proto, "src": endpoint_text(source), "dst": endpoint_text(destination)}
    member.update({name: count for name, count in zip(COUNTS, counts) if count})
    return member


def node_member(node):
    member = {"nodeId": node["nodeId"]}
    member["name"] = node.get("name", "").rstrip(".")
    member["addresses"] = [address_text(address) for address in node.get("addresses", [])]
    member["os"] = node.get("os", "")
    member["tags"] = sorted(set(node.get("tags", [])))
    member["user"] = "" if member["tags"] else node.get("user", "")
    return {name: member[name] for name in ("nodeId", "name", "addresses", "os", "user", "tags") if member[name]}


def is_link_local(family, number):
    return family == 6 and number >> 118 == 0xfe80 >> 6


class Names:
    """The node behind an address; node_id and the local addresses tell which one is this node."""

    def __init__(self, nodes, node_id, local_addrs):
        self.node_id = node_id
        self.owners = {address: node for node in nodes for address in node["addresses"]}
        by_id = {node["nodeId"]: node for node in nodes}
        own = [self.owners[prefix[:2]] for prefix in sorted(local_addrs) if prefix[:2] in self.owners]
        self.own = by_id.get(node_id) or (own[0] if own else None)
        if nodes and node_id and not self.own:
            addresses = dict.fromkeys(prefix[:2] for prefix in sorted(local_addrs) if not is_link_local(*prefix[:2]))
            self.own = {"nodeId": node_id, "name": node_id, "addresses": list(addresses)[:64]}

    def others(self, keys):
        seen = {}
        for name, _, source, destination in keys:
            for end in (source,) if name == "physical" else (source, destination):
                node = self.owners.get(end[0])
                if node and node is not self.own:
                    seen[node["nodeId"]] = node
        return [node_member(seen[node_id]) for node_id in sorted(seen, key=str.encode)]


def message_text(logtail, times, names, keys, entries):
    """The line that holds these entries, given what only the program can know."""
    message = {"logtail": {"client_time": logtail["client_time"], "proc_id": logtail["proc_id"],
                           "proc_seq": logtail["proc_seq"]}}
    if names.node_id:
        message["nodeId"] = names.node_id
    message["start"], message["end"] = (time_text(moment) for moment in times)
    if names.own:
        message["srcNode"] = node_member(names.own)
    others = names.others(keys)
    if others:
        message["dstNodes"] = others
    for name in CLASSES:
        members = [entry_member(key, entries[key]) for key in keys if key[0] == name]
        if members:
            message[name + "Traffic"] = members
    return compact(message)


def difference(line, wanted):
    at = next((i for i, (a, b) in enumerate(zip(line, wanted)) if a != b), min(len(line), len(wanted)))
    return f"at byte {at}:\n...{line[max(at - 200, 0):at + 200]}...\nis not\n...{wanted[max(at - 200, 0):at + 200]}..."


def check_window(lines, window, names, limit):
    """Asserts that the lines are exactly this window's messages. Returns (start, end)."""
    messages = [json.loads(line) for line in lines]
    expected = [key for name in CLASSES for key in window.sorted(name)]
    assert bool(lines) == bool(expected), (lines, expected)
    times = {(message["start"], message["end"]) for message in messages}
    assert len(times) <= 1, times
    done = 0
    for line, message in zip(lines, messages):
        n = sum(len(message.get(name + "Traffic", ())) for name in CLASSES)
        keys = expected[done:done + n]
        done += n
        moments = [time_number(message[name]) for name in ("start", "end")]
        wanted = message_text(message["logtail"], moments, names, keys, window.entries)
        assert line == wanted, difference(line, wanted)
        assert n > 0 and len(line.encode()) <= limit, (n, len(line.encode()))
        assert message["logtail"]["client_time"] == time_text(time_number(message["logtail"]["client_time"]))
        assert moments[0] <= moments[1]
    assert done == len(expected), f"{len(expected) - done} entries are missing"
    return [time_number(text) for text in times.pop()] if times else None
