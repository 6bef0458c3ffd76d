# SPDX-License-Identifier: BSD-3-Clause
"""The loop never waits: whatever happens, Status is answered at once, and windows end in time."""
import json

import pytest

from lib.answers import Answers
from lib.daemon import Tailer
from lib.varlink import VarlinkError
from lib.wait import wait_until
from stats_provider import StatsProvider, connection


def nodes(n):
    return {"nodes": [{"nodeId": f"node-{i}", "name": f"node-{i}.tailnet.example",
                       "addresses": [f"100.{64 + (i >> 16)}.{i >> 8 & 255}.{i & 255}", f"fd7a:115c:a1e0::{i >> 16:x}:{i & 65535:x}"],
                       "os": "linux", "tags": ["tag:server", "tag:berlin"]} for i in range(n)]}


@pytest.fixture
def vpn(directory):
    vpn = StatsProvider(directory / "vpn.sock")
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


@pytest.mark.parametrize("n", [10000, 100000])
def test_a_large_nodes_file_is_read_beside_the_loop(daemon, directory, n):
    path = directory / "nodes.json"
    path.write_text(json.dumps(nodes(1)))
    daemon.start()
    path.write_text(json.dumps(nodes(n)))
    with Answers(daemon.control_socket) as answers:
        for _ in range(2):
            daemon.call("Reload", timeout=60)
    assert daemon.status()["nodes"] == n
    answers.check(f"reload with {n} nodes")
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


def test_large_requests(daemon, directory):
    """The largest lists that fit a message, and lists that are wrong at their end."""
    (directory / "nodes.json").write_text(json.dumps(nodes(1)))
    daemon.start()
    many = nodes(5500)["nodes"]
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
