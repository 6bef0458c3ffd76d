# SPDX-License-Identifier: BSD-3-Clause
"""The daemon's logger, with counts from the test: the order of its steps, and that no counts are lost or doubled,
whatever happens between two windows."""
import contextlib
import glob
import json
import time

import pytest

from lib import traffic
from lib.daemon import Tailer
from lib.probe import tunnel_counters
from lib.varlink import VarlinkError
from lib.wait import wait_until
from stats_provider import StatsProvider, connection

ROUTES = {"localAddrs": ["100.64.0.1"], "routes": ["100.64.0.0/16"], "subnetRoutes": []}


class Vpn(StatsProvider):
    """Records its calls, in order, in a list that both layers share."""

    def __init__(self, path, name, log):
        self.name, self.log = name, log
        super().__init__(path)

    def _answer(self, client, request):
        state = request.get("parameters", {}).get("enabled")
        self.log.append(f"{self.name} " + {True: "on", False: "off", None: "extract"}[state])
        return super()._answer(client, request)


@pytest.fixture
def asked():
    return []


@pytest.fixture
def vpns(directory, asked):
    with contextlib.ExitStack() as stack:
        made = [Vpn(directory / f"{name}.sock", name, asked) for name in ("tun", "sock")]
        for vpn in made:
            stack.callback(vpn.close)
        yield made


@pytest.fixture
def daemon(network, netlogd, vpns):
    tun, sock = vpns
    return netlogd(network.namespace(), {
        "tun": {"source": "stats", "stats-socket": tun.path}, "sock": {"source": "stats", "stats-socket": sock.path},
        "routes": {"mode": "static", "local-addr": "100.64.0.1", "route": "100.64.0.0/16"}, "record": {"period": "1h"}})


def windows(daemon):
    return [message for message in daemon.spool_messages() if "start" in message]


def test_the_order_of_every_step(daemon, asked):
    daemon.start()
    assert asked == ["tun on", "tun extract", "sock on", "sock extract"]
    asked.clear()
    daemon.flush()
    assert asked == ["tun extract", "sock extract"]
    asked.clear()
    daemon.call("Stop")
    assert asked == ["tun off", "tun extract", "sock extract", "sock off"]
    daemon.stop()


def test_ten_starts_and_stops_are_twenty_changes(daemon, asked):
    daemon.configure({"netlogd": {"autostart": "no"}})
    daemon.start()
    with daemon.client() as client:
        for _ in range(10):
            client.call("Start")
            with pytest.raises(VarlinkError, match="AlreadyRunning"):
                client.call("Start")
            client.call("Stop")
            client.call("Stop")
    for name in "tun", "sock":
        assert [step for step in asked if step in (f"{name} on", f"{name} off")] == [f"{name} on", f"{name} off"] * 10
    daemon.stop()
    assert len([step for step in asked if "extract" not in step]) == 40


def test_what_is_held_at_a_start_and_at_a_stop(daemon, vpns):
    """Counts from before the start belong to no window; those until the stop belong to the last one."""
    for vpn in vpns:
        vpn.count([connection(0, 1000)])
    daemon.start()
    for number in range(3):
        for vpn in vpns:
            vpn.count([connection(number, number + 1)])
        daemon.call("Stop")
        for vpn in vpns:
            vpn.count([connection(0, 1000)])
        daemon.call("Start")
    daemon.stop()
    for name in "virtualTraffic", "physicalTraffic":
        assert [[entry["txPkts"] for entry in message[name]] for message in windows(daemon)] == [[1], [2], [3]]


def test_a_start_that_fails_leaves_nothing_on(daemon, vpns, asked):
    daemon.configure({"netlogd": {"autostart": "no"}})
    daemon.start()
    with pytest.raises(VarlinkError) as error:
        daemon.call("Start", sock={"source": "stats", "statsSocket": f"{daemon.config}/no-directory"})
    assert error.value.name == "org.netlogd.control.DeviceUnavailable"
    assert error.value.parameters["device"] == "sock" and error.value.parameters["reason"]
    assert vpns[0].enabled is False
    assert daemon.status()["running"] is False
    daemon.call("Start")
    assert [vpn.enabled for vpn in vpns] == [True, True]
    daemon.stop()


def test_the_first_window_after_a_start_is_a_whole_one(daemon, vpns):
    daemon.configure({"record": {"period": "2s"}})
    daemon.start()
    with Tailer(daemon) as tail:
        tail_of = len(tail.messages)
        vpns[0].count([connection(0)])
        tail.until(lambda messages: any("start" in m for m in messages[tail_of:]), "the first window")
        # Well into the next one, which ends at the timer's next turn.
        wait_until(lambda: time.time() > traffic.nanoseconds(daemon.status()["window"]["start"]) / 1e9 + 1, "its middle")
        daemon.call("Stop")
        daemon.call("Start")
        vpns[0].count([connection(0)])
        tail.until(lambda messages: len([m for m in messages if "start" in m]) == 2, "the window after the start")
    for message in windows(daemon):
        assert traffic.nanoseconds(message["end"]) - traffic.nanoseconds(message["start"]) > 1.9e9
    daemon.stop()


def test_a_stop_lasts_over_a_reload(daemon, asked):
    daemon.start()
    daemon.call("Stop")
    asked.clear()
    daemon.configure({"routes": {"route": "100.64.0.2"}, "record": {"exit-traffic": "full"}})
    daemon.reload()
    daemon.call("Reload")
    assert asked == [] and daemon.status()["running"] is False
    # A configuration read while stopped applies after the start.
    daemon.call("Start")
    status = daemon.status()
    assert status["record"]["exitTraffic"] == "full"
    assert [route["prefix"] for route in daemon.routes("routes")] == ["100.64.0.2"]
    daemon.stop()
    daemon.start()
    assert daemon.status()["running"] is True
    daemon.stop()


def test_routes_may_be_set_while_stopped(daemon, vpns):
    daemon.start()
    daemon.call("Stop")
    daemon.call("Reconfig", routes={"localAddrs": ["100.64.0.1"], "routes": ["10.0.0.0/8"], "subnetRoutes": []})
    daemon.call("Start")
    vpns[0].count([connection(0), {**connection(0), "dst": "10.0.0.1:53"}])
    daemon.stop()
    (message,) = windows(daemon)
    # A route removed while stopped no longer counts: the first of the two is exit traffic.
    assert [entry["dst"] for entry in message["subnetTraffic"]] == ["10.0.0.1:53"]
    assert message["exitTraffic"] == [{"proto": 0, "src": "", "dst": "", "txPkts": 1, "txBytes": 100}]


def test_reconfig_holds_until_the_reload(daemon, vpns):
    """A removed route counts until the window after the change has ended."""
    daemon.start()
    classes = []

    def end_window():
        vpns[0].count([connection(0)])
        daemon.flush()
        classes.append(next(name for name in traffic.CLASSES if name in windows(daemon)[-1]))

    end_window()
    daemon.call("Reconfig", routes={**ROUTES, "routes": []})
    for _ in range(4):
        end_window()
    daemon.call("Reload")
    end_window()
    daemon.call("Reconfig", routes={**ROUTES, "routes": ["192.0.2.0/24"]})
    daemon.call("Reconfig", routes=ROUTES)
    for _ in range(3):
        end_window()
    assert classes == ["virtualTraffic"] * 3 + ["exitTraffic"] * 2 + ["virtualTraffic"] * 4
    daemon.stop()


NODES = [{"nodeId": "n2", "name": "there.example.", "addresses": ["100.64.1.2"], "tags": ["tag:b", "tag:a", "tag:b"],
          "user": "anna@example.com"}, {"nodeId": "n1", "addresses": ["100.64.0.1"]}]


def logged_nodes(daemon, vpns):
    vpns[0].count([connection(0)])
    daemon.flush()
    message = windows(daemon)[-1]
    return message.get("srcNode"), message.get("dstNodes")


def test_nodes_from_the_socket_and_from_a_file(daemon, vpns, directory):
    told = {"nodeId": "n1", "addresses": ["100.64.0.1"]}, [
        {"nodeId": "n2", "name": "there.example", "addresses": ["100.64.1.2"], "tags": ["tag:a", "tag:b"]}]
    daemon.start()
    assert logged_nodes(daemon, vpns) == (None, None)
    daemon.call("SetNodes", nodes=NODES)
    assert logged_nodes(daemon, vpns) == told
    # A configuration without nodes removes none.
    daemon.reload()
    assert logged_nodes(daemon, vpns) == told
    file = directory / "nodes.json"
    file.write_text(json.dumps({"nodes": NODES[1:]}))
    daemon.configure({"node": {"nodes-file": file}})
    daemon.reload()
    assert logged_nodes(daemon, vpns) == (told[0], None)
    daemon.call("SetNodes", nodes=NODES)
    daemon.reload()
    assert logged_nodes(daemon, vpns) == (told[0], None)
    daemon.configure({"node": {"nodes-file": None}})
    daemon.reload()
    assert logged_nodes(daemon, vpns) == (None, None)
    daemon.stop()


def test_a_nodes_file_with_an_error_changes_nothing(daemon, vpns, directory):
    file = directory / "nodes.json"
    file.write_text(json.dumps({"nodes": NODES}))
    daemon.configure({"node": {"nodes-file": file}})
    daemon.start()
    before = logged_nodes(daemon, vpns)
    daemon.configure({"routes": {"route": "192.0.2.0/24"}})
    file.write_text('{"nodes": [\n{"nodeId": "n1"},\n{"nodeId": oops}]}')
    with pytest.raises(VarlinkError) as error:
        daemon.call("Reload")
    assert error.value.name == "org.netlogd.control.ConfigurationInvalid"
    assert (error.value.parameters["file"], error.value.parameters["line"]) == (str(file), 3)
    daemon.reload()
    assert f"{file}:3: " in daemon.log() and f"{file}:0" not in daemon.log()
    file.write_text('{"nodes": [{"nodeId": "n1"}, {"nodeId": "n1"}]}')
    with pytest.raises(VarlinkError) as error:
        daemon.call("Reload")
    assert "n1" in error.value.parameters["reason"]
    assert logged_nodes(daemon, vpns) == before
    assert "100.64.0.0/16" in str(daemon.routes())
    assert daemon.status()["configurationError"]
    daemon.stop()


def attached(daemon):
    """The program at each place (TCX link) where the daemon counts."""
    places = {}
    for file in glob.glob(f"/proc/{daemon.process.pid}/fdinfo/*"):
        with contextlib.suppress(FileNotFoundError), open(file, encoding="ascii") as info:
            members = dict(line.rstrip("\n").split(":\t", 1) for line in info if ":\t" in line)
            if "link_id" in members and members.get("link_type") == "tcx":
                places[members["link_id"]] = members["prog_id"]
    return places


def test_devices_replaced_under_load(network, netlogd, wireguard):
    """A reload that changes the devices of both layers loses no packet and counts none twice: the new programs take the
    places of the old ones, so that each packet runs one of the two."""
    left, right = wireguard
    daemon = netlogd(left.namespace, {"tun": {"interface": left.interface}, "record": {"period": "1h"}}).start()
    assert daemon.status()["tun"]["source"] == "ebpf" and daemon.status()["sock"]["source"] == "wireguard"
    begin, places = tunnel_counters(left), attached(daemon)
    assert len(places) == 4 or "tcx" not in daemon.status()["tun"]["attachment"]
    flood = traffic.Flood(left.namespace, left.address, right.address, 3, [0])
    reloads = 0
    while flood.running:
        daemon.configure({"tun": {"max-flows": 1000 + reloads}})
        daemon.reload()
        status = daemon.status()
        assert status["tun"]["maxFlows"] == status["sock"]["maxFlows"] == 1000 + reloads
        reloads += 1
        before, places = places, attached(daemon)
        assert places.keys() == before.keys() and not set(places.values()) & set(before.values())
    sent = flood.result()
    assert reloads >= 4
    # What the tunnel still holds is extracted first.
    wait_until(lambda: tunnel_counters(left) == tunnel_counters(left), "the tunnel to be quiet")
    status = daemon.status()
    daemon.call("Stop")
    end = tunnel_counters(left)
    daemon.stop()
    messages = daemon.spool_messages()
    print(f"{reloads} reloads, {sent} packets")
    assert traffic.total(messages, ["virtualTraffic"]).txPkts == sent
    assert traffic.total(messages, ["physicalTraffic"]).txBytes == end[1] - begin[1]
    assert status["record"]["conservationFailures"] == 0
    assert len([text for text in traffic.texts(messages) if "device changed" in text]) == 2 * reloads


def test_underlay_exchanged_with_none_under_load(network, netlogd):
    """The tunnel's counters have what passes in between, so nothing is lost, and there is no gap to tell."""
    left, right, (link, _) = network.pair()
    ends = network.wireguard_pair(left, right)
    network.handshake(ends)
    daemon = netlogd(left, {"tun": {"source": "none"}, "sock": {"interface": ends[0].interface},
                            "record": {"period": "1h"}}).start()
    begin = tunnel_counters(ends[0])
    flood = traffic.Flood(left, ends[0].address, ends[1].address, 4, [0])
    reloads = 0
    while flood.running:
        underlay = ["none", "auto", "none", link][reloads % 4]
        daemon.configure({"sock": {"underlay": underlay}})
        daemon.reload()
        reloads += 1
        assert ("tcx" in daemon.status()["sock"]["attachment"]) == (underlay != "none")
    flood.result()
    wait_until(lambda: tunnel_counters(ends[0]) == tunnel_counters(ends[0]), "the tunnel to be quiet")
    daemon.flush()
    status = daemon.status()
    daemon.call("Stop")
    end = tunnel_counters(ends[0])
    daemon.stop()
    messages = daemon.spool_messages()
    counts = traffic.total(messages, ["physicalTraffic"])
    print(f"{reloads} reloads, {counts}")
    assert reloads >= 4
    assert (counts.rxBytes, counts.txBytes) == (end[0] - begin[0], end[1] - begin[1])
    assert status["record"]["conservationFailures"] == 0
    texts = [text for text in traffic.texts(messages) if "device changed: sock" in text]
    assert len(texts) == reloads and not [text for text in texts if "nothing was counted" in text]


@pytest.mark.parametrize("sources", [["packet"], ["packet", "ebpf"]], ids=["packet", "both"])
def test_tun_sources_exchanged_under_load(network, netlogd, wireguard, sources):
    """The packet source hands its sockets over to the next one, so that nothing is missed. Between packet and ebpf there
    is a gap, which is told with its length; what the old device had counted is never dropped."""
    left, right = wireguard
    daemon = netlogd(left.namespace, {
        "tun": {"source": "packet", "interface": left.interface}, "sock": {"source": "none"},
        "record": {"period": "1h"}}).start()
    flood = traffic.Flood(left.namespace, left.address, right.address, 3, [0])
    reloads = 0
    while flood.running:
        reloads += 1
        source = sources[reloads % len(sources)]
        daemon.configure({"tun": {"source": source, "max-flows": 1000 + reloads}})
        daemon.reload()
        assert daemon.status()["tun"]["source"] == source
    sent = flood.result()
    daemon.flush()
    status = daemon.status()
    daemon.stop()
    messages = daemon.spool_messages()
    counted = traffic.total(messages, ["virtualTraffic"]).txPkts + status["tun"]["overflow"]["txPkts"]
    texts = [text for text in traffic.texts(messages) if "device changed: tun" in text]
    gaps = [float(text.split("nothing was counted for ")[1].split(" ms")[0]) for text in texts if "nothing" in text]
    print(f"{reloads} exchanges, {sent} packets, {sent - counted} missed, gaps {gaps} ms")
    assert len(texts) == reloads >= 4
    assert status["record"]["conservationFailures"] == 0
    if len(sources) == 1:
        assert (counted, gaps) == (sent, [])
    else:
        # In a gap, and what was between the two places where the sources count.
        assert len(gaps) == reloads and all(gap > 0 for gap in gaps)
        assert abs(sent - counted) <= sum(gaps) / 3000 * sent * 2 + 10 * reloads


def test_one_vpn_with_other_settings(daemon, vpns):
    """Another max-flows for the same stats socket: the VPN keeps counting, and what it holds meanwhile is logged."""
    daemon.start()
    for number in range(5):
        vpns[0].count([connection(0)])
        vpns[1].count([connection(0)])
        daemon.configure({"tun": {"max-flows": 1000 + number}})
        daemon.reload()
        assert [vpn.enabled for vpn in vpns] == [True, True]
    vpns[0].count([connection(0)])
    daemon.stop()
    assert [vpn.enabled for vpn in vpns] == [False, False]
    messages = windows(daemon)
    assert traffic.total(messages, ["virtualTraffic"]).txPkts == 6
    assert traffic.total(messages, ["physicalTraffic"]).txPkts == 5


def test_another_vpn_takes_over(daemon, vpns, directory):
    """The old one is disabled; what the new one counted before belongs to no window."""
    daemon.start()
    with contextlib.closing(StatsProvider(directory / "other.sock")) as other:
        vpns[0].count([connection(0, 3)])
        other.count([connection(0, 1000)])
        daemon.configure({"tun": {"stats-socket": other.path}})
        daemon.reload()
        assert (vpns[0].enabled, other.enabled) == (False, True)
        other.count([connection(0, 4)])
        vpns[0].count([connection(0, 1000)])
        daemon.flush()
        # netlogd waits for a socket on which nobody listens.
        daemon.configure({"tun": {"stats-socket": directory / "nobody.sock"}})
        daemon.reload()
        assert other.enabled is False
        status = daemon.status()["tun"]
        assert status["state"] == "waiting" and "nothing is listening" in status["reason"]
        daemon.stop()
    assert [entry["txPkts"] for _, entry in traffic.entries(windows(daemon), ["virtualTraffic"])] == [3, 4]


@pytest.mark.parametrize("layer, source", [("sock", "packet"), ("sock", "ebpf"), ("tun", "wireguard")])
def test_a_source_of_the_other_device_is_refused(daemon, layer, source):
    daemon.configure({"netlogd": {"autostart": "no"}})
    daemon.start()
    with pytest.raises(VarlinkError) as error:
        daemon.call("Start", **{layer: {"source": source, "interface": "lo"}})
    assert error.value.name in ("org.netlogd.control.DeviceUnavailable", "org.varlink.service.InvalidParameter")
    assert daemon.status()["running"] is False
    daemon.stop()
