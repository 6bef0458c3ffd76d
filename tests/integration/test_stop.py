# SPDX-License-Identifier: BSD-3-Clause
"""The daemon is stopped at each moment of its life, once, twice and three times: it ends in order, answers whom it
keeps waiting, and its next start has nothing to complain about."""
import contextlib
import json
import os
import signal
import time

import pytest

from collector import Hang
from lib.daemon import build_directory
from lib.varlink import VarlinkError
from lib.wait import wait_until
from stats_provider import StatsProvider

CONTROL = "org.netlogd.control."
ROUTES = {"localAddrs": [], "routes": ["100.64.0.0/10"], "subnetRoutes": []}
# Two requests to stop within half a second are one (timeout(1) and shells send two).
APART = 0.6
# Freed memory is overwritten, so that its use shows without a sanitizer too (mallopt(3)).
PERTURB = {"MALLOC_PERTURB_": "165"}


@pytest.fixture
def vpn(directory):
    vpn = StatsProvider(directory / "vpn.sock")
    try:
        yield vpn
    finally:
        vpn.close()


@pytest.fixture
def other_vpn(directory):
    vpn = StatsProvider(directory / "other.sock")
    try:
        yield vpn
    finally:
        vpn.close()


@pytest.fixture
def daemon(network, netlogd, directory, vpn):
    """A daemon that has all that runs beside windows. Not started yet."""
    nodes = directory / "nodes.json"
    nodes.write_text(json.dumps({"nodes": [
        {"nodeId": f"n{i}", "name": f"node-{i}.example", "addresses": [f"100.{64 + i // 65536}.{i // 256 % 256}.{i % 256}"]}
        for i in range(20000)]}))
    return netlogd(network.namespace(), {
        "netlogd": {"metrics-textfile": directory / "netlogd.prom"},
        "node": {"nodes-file": nodes},
        "tun": {"source": "stats", "stats-socket": vpn.path}, "sock": {"source": "none"}})


def extracting(vpn):
    """Waits until the VPN has been asked for counts, and hangs."""
    vpn.misbehave = "hang"
    seen = vpn.calls.count("ExtractStatistics")
    wait_until(lambda: vpn.calls.count("ExtractStatistics") > seen, "an extraction that hangs")


class Clients:
    """Clients that wait for answers of all kinds."""

    def __init__(self, daemon, methods):
        self.waiting = [(method, daemon.client()) for method in methods]
        for method, client in self.waiting:
            parameters = {"deadlineMs": 86400000} if method in ("Flush", "Stop") else None
            client.send(method, parameters, more=method == "Tail")
        daemon.status()  # a later connection is served later

    def answers(self):
        """The last answer of each, as a name of an error or the names of its members."""
        found = {}
        for method, client in self.waiting:
            with client:
                message = client.receive()
                while message.get("continues"):
                    message = client.receive()
            found[method] = message.get("error", "").removeprefix(CONTROL) or sorted(message["parameters"])
        return found


def end(daemon, signals):
    """Sends SIGTERM and, while it lasts, some more; then the exit must be clean, and so must the next start."""
    for i in range(signals):
        if i > 0:
            with contextlib.suppress(TimeoutError):
                daemon.process.wait(APART)
        if not daemon.process.running:
            break
        daemon.process.signal(signal.SIGTERM)
    status = daemon.process.wait(60)
    log = daemon.log()
    daemon.notify.close()
    daemon.check_log()
    assert status == 0, f"exit status {status}: {log}"
    assert "cancel" not in log.lower(), log
    assert not daemon.control_socket.exists()
    return log


def start_again(daemon, vpn):
    """The next start finds a clean end."""
    vpn.misbehave = None
    daemon.configure({"node": {"nodes-file": None}, "upload a": None})
    daemon.start()
    daemon.stop()
    texts = [message["text"] for message in daemon.spool_messages() if "text" in message]
    assert texts[-1] == "netlogd: stopped"
    assert not [text for text in texts if "cleanly" in text], texts


@pytest.mark.parametrize("signals", [1, 2, 3])
def test_while_the_vpn_hangs(daemon, vpn, signals):
    """A window's end is under way, with the metrics that are to be written after it."""
    daemon.start(PERTURB)
    extracting(vpn)
    clients = Clients(daemon, ["Tail", "Flush", "Stop"])
    end(daemon, signals)
    answers = clients.answers()
    assert answers["Tail"] == "Stopping"
    # A Flush that had not begun is cancelled; a Stop is what happens anyway.
    assert answers["Flush"] in ("NotRunning", "Stopping", ["pendingBytes", "pendingMessages"])
    assert answers["Stop"] == ["pendingBytes", "pendingMessages"]
    start_again(daemon, vpn)


@pytest.mark.parametrize("signals", [1, 2])
def test_during_the_start(daemon, vpn, signals):
    vpn.misbehave = "hang-enable"
    daemon.launch(PERTURB)
    wait_until(lambda: "SetStatisticsEnabled" in vpn.calls, "the start")
    end(daemon, signals)
    assert "READY=1" not in daemon.notify.read()
    start_again(daemon, vpn)


@pytest.mark.parametrize("signals", [1, 2])
def test_during_a_reload(daemon, vpn, signals):
    daemon.start(PERTURB)
    clients = Clients(daemon, ["Reload"])
    daemon.process.signal(signal.SIGHUP)
    log = end(daemon, signals)
    assert clients.answers()["Reload"] in ("Stopping", [])
    assert "error:" not in log
    start_again(daemon, vpn)


@pytest.mark.parametrize("signals", [1, 2])
def test_during_an_exchange_of_devices(daemon, vpn, other_vpn, signals):
    daemon.start(PERTURB)
    other_vpn.misbehave = "hang-enable"
    daemon.configure({"tun": {"stats-socket": other_vpn.path}, "node": {"nodes-file": None}})
    clients = Clients(daemon, ["Reload"])
    wait_until(lambda: other_vpn.calls, "the new device to be asked")
    end(daemon, signals)
    assert clients.answers()["Reload"] in ("Stopping", "ConfigurationInvalid", [])
    start_again(daemon, other_vpn)


@pytest.fixture
def delivering(daemon, vpn, collector_in):
    """A daemon that has been told to stop, and waits for a collector that does not answer."""
    collector = collector_in(daemon.namespace)
    collector.default = Hang()
    daemon.configure({"upload a": {"type": "logtail", "url": collector.url, "collection": "c"}})
    daemon.start(PERTURB)
    daemon.process.signal(signal.SIGTERM)
    wait_until(lambda: "info: stopped\n" in daemon.log(), "the end of the last window")
    return daemon


def refused(daemon, method, **parameters):
    with pytest.raises(VarlinkError) as error:
        daemon.call(method, **parameters)
    return error.value.name.removeprefix(CONTROL)


def test_nothing_starts_or_changes_while_the_last_delivery_waits(delivering, vpn):
    daemon = delivering
    assert refused(daemon, "Start") == "Stopping"
    assert refused(daemon, "Start", tun={"source": "none"}) == "Stopping"
    assert refused(daemon, "Reconfig", routes=ROUTES) == "Stopping"
    assert refused(daemon, "Reload") == "Stopping"
    assert refused(daemon, "SetNodes", nodes=[]) == "Stopping"
    assert refused(daemon, "Flush") == "NotRunning"
    assert daemon.status()["running"] is False
    daemon.process.signal(signal.SIGHUP)
    assert "stopping" in daemon.ctl("start", check=False).stderr
    assert vpn.enabled is False
    assert end(daemon, 1).count("info: started") == 1
    start_again(daemon, vpn)


@pytest.mark.parametrize("signals", [1, 2])
def test_clients_of_the_last_delivery(delivering, vpn, signals):
    """They are told what remains, also when a further signal cuts the delivery short."""
    daemon = delivering
    clients = Clients(daemon, ["Tail", "Stop"])
    begun = time.monotonic()
    end(daemon, signals)
    print(f"{signals + 1} signals: ended after {time.monotonic() - begun:.1f} s")
    answers = clients.answers()
    assert answers["Tail"] == "Stopping"
    assert answers["Stop"] == ["pendingBytes", "pendingMessages"]
    start_again(daemon, vpn)


def test_the_parts_that_cannot_be_made(netlogd, network, directory):
    """A start that fails half way frees what was made until then."""
    daemon = netlogd(network.namespace(), {
        "netlogd": {"metrics-textfile": directory / "netlogd.prom"},
        "node": {"nodes-file": directory / "missing.json"}, "tun": {"source": "none"}, "sock": {"source": "none"}})
    daemon.launch(PERTURB)
    assert daemon.process.wait() == 1
    assert "missing.json" in daemon.log()
    assert not os.path.exists(daemon.control_socket)


class HangingCalls:
    """Calls of one kind ("metrics", "user") that hang from now on (hanging_calls.c)."""

    def __init__(self, directory, name):
        self.prefix = directory / "hang"
        self.file = directory / f"hang.{name}"
        self.seen = directory / f"hang.{name}.seen"

    def env(self):
        library = os.path.realpath(os.path.join(build_directory(), "tests/integration/libhanging-calls.so"))
        return {"LD_PRELOAD": library, "HANGING_CALLS": str(self.prefix)}

    def begin(self):
        self.file.touch()

    def wait(self):
        wait_until(self.seen.exists, "a call that hangs")


@pytest.fixture
def operated(network, netlogd, directory):
    return netlogd(network.namespace(), {
        "netlogd": {"metrics-textfile": directory / "netlogd.prom", "operators": "nobody"},
        "tun": {"source": "none"}, "sock": {"source": "none"}})


@pytest.mark.parametrize("name", ["metrics", "user"])
def test_while_a_disk_or_a_directory_service_hangs(operated, directory, name):
    """The end does not wait for them: neither for a metrics file on a dead disk, nor for a user's name in a reload."""
    daemon = operated
    calls = HangingCalls(directory, name)
    daemon.start(calls.env())
    calls.begin()
    clients = [daemon.client() for _ in range(2)]
    for client in clients:
        client.send("Reload")
    calls.wait()
    assert daemon.status()["running"] is True
    begun = time.monotonic()
    log = end(daemon, 1)
    print(f"ended after {time.monotonic() - begun:.1f} s")
    assert "not waiting" in log
    for client in clients:
        with client, contextlib.suppress(ConnectionError):
            assert client.receive().get("error") in (None, CONTROL + "Stopping")
    calls.file.unlink()
    daemon.start()
    daemon.stop()
    assert not [text for text in map(str, daemon.spool_messages()) if "cleanly" in text]


def test_a_start_while_a_directory_service_hangs(operated, directory):
    """The daemon counts, and knows its operators as soon as they have been named."""
    daemon = operated
    calls = HangingCalls(directory, "user")
    calls.begin()
    daemon.start(calls.env())
    assert daemon.status()["running"] is True
    assert "operators: no answer yet" in daemon.log()
    calls.file.unlink()
    daemon.call("Reload")
    daemon.stop()
