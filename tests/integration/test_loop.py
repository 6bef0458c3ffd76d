# SPDX-License-Identifier: BSD-3-Clause
"""The loop never waits: whatever happens, Status is answered at once, and windows end in time."""
import json
import re

import pytest

from lib import traffic
from lib.answers import Answers
from lib.daemon import Tailer, sanitized
from lib.varlink import VarlinkError
from lib.wait import wait_until
from stats_provider import StatsProvider, connection


PERIOD_MS = 100


def nodes(n):
    return {"nodes": [{"nodeId": f"node-{i}", "name": f"node-{i}.tailnet.example",
                       "addresses": [f"100.{64 + (i >> 16)}.{i >> 8 & 255}.{i & 255}", f"fd7a:115c:a1e0::{i >> 16:x}:{i & 65535:x}"],
                       "os": "linux", "tags": ["tag:server", "tag:berlin"]} for i in range(n)]}


class Steady(StatsProvider):
    """Has a connection in every window once it is asked to, so that each of them is logged."""

    steady = False

    def _answer(self, client, request):
        if self.steady and request["method"].endswith("ExtractStatistics"):
            self.count([connection(1)])
        return super()._answer(client, request)


@pytest.fixture
def vpn(directory):
    vpn = Steady(directory / "vpn.sock")
    try:
        yield vpn
    finally:
        vpn.close()


@pytest.fixture
def daemon(network, netlogd, directory, vpn):
    return netlogd(network.namespace(), {
        "node": {"nodes-file": directory / "nodes.json"},
        "tun": {"source": "stats", "stats-socket": vpn.path}, "sock": {"source": "none"},
        "routes": {"mode": "static", "local-addr": "100.64.0.1", "route": "100.64.0.0/10"}})


def check_windows(daemon, since, what, noise=0.0):
    """That no window that was logged since then took much longer than its period. 50 ms are promised; a busy machine, of
    which noise tells, adds to that (see Answers)."""
    ends = [traffic.nanoseconds(message["end"]) / 1e6 for message in daemon.spool_messages()[since:] if "start" in message]
    assert len(ends) > 2, what
    first = min(end - i * PERIOD_MS for i, end in enumerate(ends))
    worst = max(end - first - round((end - first) / PERIOD_MS) * PERIOD_MS for end in ends)
    longest = max(later - end for end, later in zip(ends, ends[1:]))
    print(f"{what}: {len(ends)} windows, the latest ended {worst:.1f} ms late, the longest took {longest:.1f} ms")
    assert longest < PERIOD_MS * (3 if sanitized() else 1.9) + 3 * noise, (what, ends)


@pytest.mark.parametrize("n", [10000, 100000])
def test_a_large_nodes_file_is_read_beside_loop_and_windows(daemon, directory, vpn, n):
    """Reloads, a list of all nodes, and the way back to one: neither the loop nor a window waits."""
    path = directory / "nodes.json"
    path.write_text(json.dumps(nodes(1)))
    daemon.start()
    path.write_text(json.dumps(nodes(n)))
    vpn.steady = True
    before = len(daemon.spool_messages())
    with Answers(daemon.control_socket) as answers:
        for _ in range(2):
            daemon.call("Reload", timeout=60)
        assert daemon.status()["nodes"] == n
        with daemon.client() as client:
            listed = [node["nodeId"] for part in client.stream("GetNodes") for node in part["nodes"]]
        path.write_text(json.dumps(nodes(1)))
        daemon.call("Reload", timeout=60)
    assert listed == sorted(f"node-{i}" for i in range(n))
    assert daemon.status()["nodes"] == 1
    answers.check(f"reload with {n} nodes")
    check_windows(daemon, before, f"reload with {n} nodes", answers.noise)
    daemon.stop()


def test_a_bad_nodes_file_changes_nothing(daemon, directory):
    """Half-written, not UTF-8, of 100 MB, two nodes with one address: the error says what is wrong, and the nodes stay."""
    path = directory / "nodes.json"
    whole = json.dumps(nodes(1000)).encode()
    path.write_bytes(whole)
    daemon.start()
    two = b'{"nodes":[{"nodeId":"a","addresses":["10.0.0.1"]},{"nodeId":"b","addresses":["10.0.0.1"]}]}'
    bad = ((whole[:len(whole) // 2], "end of input|near|expected"),
           (whole.replace(b"node-7.", b"node-\xff."), "unable to decode byte 0xff"),
           (two, '"10.0.0.1" is an address of two nodes, a and b'), (None, "File too large"))
    for text, reason in bad:
        if text is None:
            with open(path, "r+b") as file:
                file.truncate(100 * 1000 * 1000)
        else:
            path.write_bytes(text)
        with Answers(daemon.control_socket) as answers, pytest.raises(VarlinkError, match="ConfigurationInvalid") as error:
            daemon.call("Reload", timeout=60)
        assert error.value.parameters["file"] == str(path)
        assert re.search(reason, error.value.parameters["reason"]), error.value.parameters
        answers.check(reason)
        assert daemon.status()["nodes"] == 1000
    path.write_bytes(whole)
    daemon.call("Reload")
    daemon.stop()


def test_forty_tails_at_once(daemon, vpn, directory):
    """Each begins at the end of a segment of several MiB."""
    (directory / "nodes.json").write_text(json.dumps(nodes(1)))
    daemon.start()
    size = 0
    while size < 12 << 20:
        vpn.count([connection(i) for i in range(20000)])
        daemon.flush(0)
        size = daemon.status()["spool"]["bytes"]
    with Answers(daemon.control_socket) as answers:
        tails = [Tailer(daemon) for _ in range(40)]
        wait_until(lambda: daemon.status()["control"]["tails"] == 40, "forty tails")
        vpn.count([connection(7)])
        for tail in tails:
            assert len(tail.next()["virtualTraffic"]) == 1
    for tail in tails:
        tail.client.close()
    answers.check("forty tails")
    daemon.stop()


def test_large_requests(daemon, directory, vpn):
    """The largest lists that fit a message, and lists that are wrong at their end."""
    (directory / "nodes.json").write_text(json.dumps(nodes(1)))
    daemon.start()
    many = nodes(5500)["nodes"]
    vpn.steady = True
    before = len(daemon.spool_messages())
    routes = {"localAddrs": [], "routes": [f"10.{i >> 8 & 255}.{i & 255}.0/24" for i in range(50000)], "subnetRoutes": []}
    with Answers(daemon.control_socket) as answers:
        daemon.call("SetNodes", nodes=many)
        with pytest.raises(VarlinkError, match="InvalidNode"):
            daemon.call("SetNodes", nodes=[*many, {"nodeId": "x", "addresses": ["nonsense"]}])
        # The most values that a message may have: before, 85 to 178 ms.
        daemon.call("SetNodes", nodes=[{"nodeId": str(i)} for i in range(50000)])
        daemon.call("Reconfig", routes=routes)
        with pytest.raises(VarlinkError, match="InvalidRoute"):
            daemon.call("Reconfig", routes={**routes, "routes": [*routes["routes"], "nonsense"]})
    answers.check("large requests")
    check_windows(daemon, before, "large requests", answers.noise)
    daemon.stop()


def test_metrics_in_a_file(daemon, directory, vpn):
    """The text file is written with each window."""
    (directory / "nodes.json").write_text(json.dumps(nodes(1)))
    target = directory / "netlogd.prom"
    daemon.configure({"netlogd": {"metrics-textfile": target}})
    daemon.start()
    with Answers(daemon.control_socket) as answers:
        seen = len(vpn.calls)
        wait_until(lambda: target.exists() and len(vpn.calls) > seen + 5, "some windows")
    assert "netlogd_build_info" in target.read_text()
    answers.check("metrics in a file")
    daemon.stop()
