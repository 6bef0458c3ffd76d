# SPDX-License-Identifier: BSD-3-Clause
"""The whole program against a plain model of SPEC 6 and 7: random routes, nodes and counts through stats sockets."""
import json
import os
import random

import pytest

from lib import model
from stats_provider import StatsProvider

V4, V6 = 4, 6
TAILNET6 = 0xfd7a115ca1e0 << 80


def v4(a, b, c, d):
    return a << 24 | b << 16 | c << 8 | d


# A trial's prefixes and addresses: close to each other, and at every edge that the contract names.
BASES = [
    (V4, v4(100, 64, 0, 1)), (V4, v4(100, 64, 1, 0)), (V4, v4(100, 127, 255, 255)), (V4, v4(100, 128, 0, 0)),
    (V4, v4(100, 115, 91, 255)), (V4, v4(100, 115, 92, 0)), (V4, v4(100, 115, 93, 255)), (V4, v4(100, 115, 94, 0)),
    (V4, v4(100, 100, 100, 100)), (V4, v4(10, 0, 0, 1)), (V4, v4(10, 1, 255, 255)), (V4, v4(127, 255, 255, 255)),
    (V4, v4(128, 0, 0, 0)), (V4, v4(192, 168, 1, 1)), (V4, 0), (V4, 2**32 - 1),
    (V6, TAILNET6 | 1), (V6, TAILNET6 | 0x53), (V6, TAILNET6 | 0xb1a << 64), (V6, TAILNET6 - 1), (V6, TAILNET6 + (1 << 80)),
    (V6, model.MAPPED | v4(100, 64, 0, 1)), (V6, model.MAPPED | v4(10, 0, 0, 1)), (V6, model.MAPPED - 1),
    (V6, 0x20010db8 << 96 | 1), (V6, 0x20010db8 << 96 | 1 << 64 | 1 << 16), (V6, 0), (V6, 1), (V6, 2**127), (V6, 2**128 - 1),
]


class Dice(random.Random):
    """The random choices of a trial."""

    def address(self, near=BASES):
        family, number = self.choice(near)[:2]
        number += self.choice((0, 0, 0, 1, -1, self.randrange(8), self.randrange(1 << 16)))
        return family, number % (1 << model.BITS[family])

    def prefix(self):
        family, number = self.address()
        bits = model.BITS[family]
        length = self.choice((bits, bits, bits - 1, bits - 8, self.randrange(bits + 1), self.choice((0, 1, 1, 10))))
        # May have host bits: a local address with a shorter length stands for itself.
        return family, number, length

    def prefixes(self, most):
        return [self.prefix() for _ in range(self.randrange(most + 1))]

    def default_halves(self):
        return self.choice(([], [], [(V4, 0, 1), (V4, 1 << 31, 1)], [(V6, 0, 1), (V6, 1 << 127, 1)], [(V4, 0, 1)],
                            [(V4, 0, 0), (V6, 0, 0)]))

    def routes(self):
        local, routes, subnets = self.prefixes(4), self.prefixes(6), self.prefixes(4)
        # The halves may be in different lists.
        for prefix in self.default_halves():
            self.choice((routes, subnets)).append(prefix)
        return local, routes, subnets

    def endpoint(self, near):
        if self.random() < 0.05:
            return model.NONE, 0
        return self.address(near), self.choice((0, 1, 22, 443, 65535, self.randrange(65536)))

    def counts(self):
        def one():
            return self.choice((0, 1, self.randrange(1, 10**4), self.randrange(1 << self.randrange(1, 64)), model.COUNT_MAX))
        return one(), one(), one(), one()

    def nodes(self, n):
        found, free = [], {self.address() for _ in range(3 * n)}
        for number in range(n):
            node = {"nodeId": f"n{self.randrange(10**6)}-{number}", "addresses": []}
            for _ in range(min(self.randrange(4), len(free))):
                node["addresses"].append(free.pop())
            if self.random() < 0.8:
                node["name"] = self.choice(("host", "host.", "héllo.example.", "a\"b\\c", "x" * 250, "dots..")) + ""
            for name, values in (("os", ("linux", "Ünix", "")), ("user", ("anna@example.com", ""))):
                if self.random() < 0.6:
                    node[name] = self.choice(values)
            if self.random() < 0.5:
                node["tags"] = [self.choice(("tag:b", "tag:a", "tag:ü", "tag:long" + "y" * 200))
                                for _ in range(self.randrange(6))]
            found.append(node)
        return found


def lists_argument(lists):
    return dict(zip(("localAddrs", "routes", "subnetRoutes"), ([model.prefix_text(p) for p in part] for part in lists)))


def normal(lists):
    """As the contract compares them: a local address is single, the others have no host bits."""
    local, *networks = lists
    whole = [(family, number, model.BITS[family]) for family, number, _ in local]
    shifts = [[model.BITS[family] - length for family, _, length in part] for part in networks]
    return [whole] + [[(family, number >> shift << shift, length) for (family, number, length), shift in zip(part, by)]
                      for part, by in zip(networks, shifts)]


class Trial:
    """The daemon with two providers, and the model of it."""

    def __init__(self, directory, netlogd, network):
        self.tun, self.sock = StatsProvider(directory / "tun.sock", part=100), StatsProvider(directory / "sock.sock")
        self.lines, self.nodes_file = directory / "flows.jsonl", directory / "nodes.json"
        self.nodes_file.write_text('{"nodes":[]}')
        self.daemon = netlogd(network.namespace(), {
            "node": {"nodes-file": self.nodes_file},
            "tun": {"source": "stats", "stats-socket": self.tun.path},
            "sock": {"source": "stats", "stats-socket": self.sock.path},
            "record": {"period": "1h"}, "routes": {"mode": "static"},
            "upload lines": {"type": "file", "path": self.lines}}).start()
        self.read = 0
        self.told = []
        self.last_end = None
        self.ignored_sum = (0, 0, 0, 0)
        self.routes = model.Routes()

    def close(self):
        self.tun.close()
        self.sock.close()

    def new_lines(self):
        """The lines delivered since the last call. Asserts that proc_seq rises by one each time."""
        with open(self.lines, encoding="utf-8") as file:
            file.seek(self.read)
            lines = file.read().splitlines()
            self.read = file.tell()
        fresh = []
        for line in lines:
            # Delivered at least once: what a reload interrupts may come again, unchanged.
            number = json.loads(line)["logtail"]["proc_seq"]
            if number <= len(self.told):
                assert line == self.told[number - 1]
                continue
            assert number == len(self.told) + 1
            self.told.append(line)
            fresh.append(line)
        return [line for line in fresh if "text" not in json.loads(line)]

    def set_up(self, dice):
        """Reloads other settings; the earlier routes are forgotten two windows later."""
        self.tailnet = [(V4, v4(100, 64, 0, 0), 10), (V6, TAILNET6, 48)] if dice.random() < 0.5 else dice.prefixes(3)
        self.exclude = [(V4, v4(100, 115, 92, 0), 23)] if dice.random() < 0.5 else dice.prefixes(2)
        self.ignored = [dice.address() for _ in range(dice.randrange(4))]
        self.exit_traffic = dice.choice(("aggregate", "anonymize", "full"))
        self.limit = dice.choice((4096, 4096, 5000, 20000, 262144))
        self.nodes = dice.nodes(dice.choice((0, 1, 5, 40)))
        self.node_id = dice.choice((None, "n123", *(node["nodeId"] for node in self.nodes)))
        self.nodes_file.write_text(json.dumps({"nodes": [
            {**node, "addresses": [model.address_text(address) for address in node["addresses"]]} for node in self.nodes]}))
        self.daemon.configure({
            "node": {"id": self.node_id or ""},
            "routes": {"tailnet": ",".join(map(model.prefix_text, self.tailnet)),
                       "tailnet-exclude": ",".join(map(model.prefix_text, self.exclude))},
            "record": {"exit-traffic": self.exit_traffic, "max-message-size": self.limit,
                       "ignore-addr": ",".join(map(model.address_text, self.ignored))}})
        self.daemon.call("Reload")
        for _ in range(2):
            self.daemon.flush()
        assert self.new_lines() == []
        self.routes = model.Routes()
        self.last_end = None

    def reconfigure(self, dice):
        lists = dice.routes()
        self.daemon.call("Reconfig", routes=lists_argument(lists))
        self.routes.change(normal(lists))

    def routing(self):
        return model.Routing(*self.routes.union(), self.tailnet, self.exclude)

    def count(self, dice, window, n):
        near = BASES + [prefix for part in self.routes.union() for prefix in part]
        routing = self.routing()
        drawn = [(dice.choice((0, 6, 17, 255)), dice.endpoint(near), dice.endpoint(near)) for _ in range(n)]
        for proto, source, destination in drawn + dice.choices(drawn, k=n // 5):
            counts = dice.counts()
            # A count of zero may be present or absent.
            entry = {"src": model.endpoint_text(source), "dst": model.endpoint_text(destination),
                     **{name: count for name, count in zip(model.COUNTS, counts) if count or dice.random() < 0.5}}
            if dice.random() < 0.8:
                window.add_tun(proto, source, destination, counts, routing)
                self.tun.count([{"proto": proto, **entry}])
            else:
                window.add_sock(source, destination, counts)
                self.sock.count([{"proto": 0, **entry}])

    def window(self, dice):
        window = model.Window(self.exit_traffic, self.ignored)
        self.count(dice, window, dice.choice((0, 1, 30, 300)))
        for _ in range(dice.choice((0, 0, 1, 2))):
            self.reconfigure(dice)
            self.count(dice, window, dice.choice((1, 30, 200)))
        self.daemon.flush()
        lines = self.new_lines()
        names = model.Names(self.nodes, self.node_id, self.routes.union()[0])
        times = model.check_window(lines, window, names, self.limit)
        if times and self.last_end is not None:
            assert times[0] == self.last_end + 1
        self.last_end = times and times[1]
        self.ignored_sum = model.saturated(self.ignored_sum, window.ignored)
        self.routes.end_window()
        return len(window.entries)


@pytest.fixture
def trial(directory, netlogd, network):
    made = Trial(directory, netlogd, network)
    yield made
    made.close()


def test_random_windows_as_the_model_says(trial):
    # Another seed each time; a failed one can be given again.
    seed = int(os.environ.get("MODEL_SEED", random.SystemRandom().randrange(10**6)))
    entries = 0
    for number in range(int(os.environ.get("MODEL_TRIALS", 20))):
        print(f"MODEL_SEED={seed + number} MODEL_TRIALS=1")
        dice = Dice(seed + number)
        trial.set_up(dice)
        for _ in range(5):
            entries += trial.window(dice)
    assert entries > 2000
    status = trial.daemon.status()
    assert tuple(status["record"]["ignored"][name] for name in model.COUNTS) == trial.ignored_sum
    assert status["record"]["conservationFailures"] == 0
    assert status["record"]["procSeq"] == len(trial.told)


def test_what_a_window_cannot_hold_is_overflow(trial):
    """Whatever the input, in however many extractions: entries, overflow and ignored add up to it."""
    dice = Dice(int(os.environ.get("MODEL_SEED", random.SystemRandom().randrange(10**6))))
    trial.set_up(dice)
    trial.exit_traffic, trial.ignored = "full", []
    trial.daemon.configure({"tun": {"max-flows": 50}, "record": {"exit-traffic": "full", "ignore-addr": ""}})
    trial.daemon.call("Reload")
    trial.new_lines()
    overflows = 0
    for n in (10, 40, 60, 100, 300):
        handed = {"tun": [0] * 4, "sock": [0] * 4}
        for _ in range(2):
            for layer, vpn in (("tun", trial.tun), ("sock", trial.sock)):
                # Sums that fit in a count.
                entries = [{"proto": 17 if layer == "tun" else 0, "src": model.endpoint_text(dice.endpoint(BASES)),
                            "dst": model.endpoint_text(dice.endpoint(BASES)),
                            **{name: dice.randrange(1 << 40) for name in model.COUNTS}} for _ in range(n)]
                vpn.count(entries)
                for entry in entries:
                    handed[layer] = [a + entry[name] for a, name in zip(handed[layer], model.COUNTS)]
            # Extracts, into the same window.
            trial.reconfigure(dice)
        trial.daemon.flush()
        messages = [json.loads(line) for line in trial.new_lines()]
        assert all("overflow" not in message for message in messages[1:])
        logged = {"tun": [0] * 4, "sock": [0] * 4}
        held = {"tun": 0, "sock": 0}
        for message in messages:
            for name in model.CLASSES:
                layer = "sock" if name == "physical" else "tun"
                for entry in message.get(name + "Traffic", ()):
                    logged[layer] = [a + entry.get(count, 0) for a, count in zip(logged[layer], model.COUNTS)]
                    held[layer] += 1
        for layer, counts in messages[0].get("overflow", {}).items():
            assert all(counts.values())
            logged[layer] = [a + counts.get(name, 0) for a, name in zip(logged[layer], model.COUNTS)]
            overflows += 1
        assert logged == handed
        assert max(held.values()) <= 50
        assert n > 25 or "overflow" not in messages[0]
    assert overflows >= 6
