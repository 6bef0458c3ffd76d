# SPDX-License-Identifier: BSD-3-Clause
"""Every type of event, from the real daemon, with the values of its members."""
import json
import re
import shutil

import pytest

from lib import bpf, traffic
from lib.daemon import Tailer
from lib.failing import FailingCalls
from lib.fake_tunnel import FakeTunnel, peer
from lib.schema import SCHEMA
from lib.wait import wait_until
from stats_provider import StatsProvider, connection

SECOND = 10**9
COVERED = set()


def tells(*types):
    """Says which events a test is about."""
    def mark(test):
        COVERED.update(types)
        return test
    return mark


def test_every_type_has_its_test():
    types = [definition["$ref"].rpartition("/")[2] for definition in SCHEMA["$defs"]["event"]["oneOf"]]
    assert sorted(COVERED) == sorted(types)


def events(messages, kind):
    """Those of one type, each with its text."""
    return [(message["event"], message["text"].removeprefix("netlogd: ")) for message in messages
            if message.get("event", {}).get("type") == kind]


def event(messages, kind):
    """The only one of this type."""
    (found,) = events(messages, kind)
    return found


@pytest.fixture
def make(network, netlogd, vpn):
    """Makes a daemon that reads the provider; the test ends its windows."""
    def make_daemon(**sections):
        return netlogd(network.namespace(), {
            "tun": {"source": "stats", "stats-socket": vpn.path}, "sock": {"source": "none"},
            "routes": {"mode": "static", "local-addr": "100.64.0.1", "route": "100.64.0.0/16"}, **sections,
            "record": {"period": "1h", **sections.get("record", {})}})
    return make_daemon


@tells("started", "stopped")
def test_start_and_stop(make, vpn):
    daemon = make().start()
    version = daemon.status()["version"]
    daemon.call("Stop")
    daemon.call("Start")
    daemon.stop()
    messages = daemon.spool_messages()
    assert [message["event"]["type"] for message in messages] == ["started", "stopped"] * 2
    told, text = events(messages, "started")[0]
    assert told == {"type": "started", "version": version, "tun": {"device": "tun", "source": "stats", "target": vpn.path},
                    "sock": {"device": "sock", "source": "none"}, "routes": "static"}
    assert text.startswith(f"started, version {version}, tun {vpn.path} by stats")
    assert events(messages, "stopped")[1] == ({"type": "stopped"}, "stopped")


@tells("started")
def test_start_with_a_tunnel(wireguard, netlogd):
    interface = wireguard[0].interface
    daemon = netlogd(wireguard[0].namespace, {"tun": {"interface": interface}, "record": {"period": "1h"}}).start()
    sources = {name: daemon.status()[name]["source"] for name in ("tun", "sock")}
    daemon.stop()
    told, _ = event(daemon.spool_messages(), "started")
    assert told["tun"] == {"device": "tun", "source": sources["tun"], "target": interface}
    assert told["sock"] == {"device": "sock", "source": "wireguard", "target": interface}
    assert told["routes"] == "auto"


@tells("unclean-stop")
def test_unclean_stop(make):
    daemon = make().start()
    with Tailer(daemon) as tail:
        daemon.call("Stop")
        daemon.call("Start")
        tail.until(lambda messages: messages and messages[-1]["event"]["type"] == "started", "the start")
        last = tail.messages[-1]["logtail"]["client_time"]
    daemon.kill()
    daemon.start()
    wait_until(lambda: len(events(daemon.spool_messages(), "started")) == 3, "the texts in the spool")
    assert event(daemon.spool_messages(), "unclean-stop") == (
        {"type": "unclean-stop", "lastMessage": last}, f"previous run did not shut down cleanly; last message at {last}")
    daemon.kill()
    # Nothing of it is left.
    shutil.rmtree(daemon.state / "spool")
    daemon.start()
    daemon.stop()
    assert event(daemon.spool_messages(), "unclean-stop") == (
        {"type": "unclean-stop"}, "previous run did not shut down cleanly; no messages from it")


@tells("clock-stepped")
@pytest.mark.parametrize("seconds", [90, -2.5])
def test_clock_stepped(make, clock, seconds):
    daemon = make().start(env=clock.env)
    clock.step(int(seconds * SECOND))
    daemon.flush()
    daemon.stop()
    told, text = event(daemon.spool_messages(), "clock-stepped")
    assert told == {"type": "clock-stepped", "seconds": pytest.approx(seconds, abs=0.01)}
    assert text == f"the wall clock stepped by {told['seconds']:+.3f} s"


@tells("device-lost", "device-back", "device-found")
def test_a_device_comes_and_goes(make, vpn):
    vpn.close()
    daemon = make().start()
    again = StatsProvider(vpn.path)
    daemon.flush()
    again.close()
    for _ in range(3):
        daemon.flush()
    assert daemon.status()["tun"]["state"] == "lost"
    vpn = StatsProvider(vpn.path)
    daemon.flush()
    daemon.stop()
    messages = daemon.spool_messages()
    device = {"device": "tun", "source": "stats", "target": vpn.path}
    assert [message["event"]["type"] for message in messages] == [
        "started", "device-found", "device-lost", "device-back", "stopped"]
    # The source is the one that was asked for as long as there is none.
    assert event(messages, "started")[0]["tun"] == device
    assert event(messages, "device-found") == ({"type": "device-found", **device}, f"device found: tun {vpn.path} by stats ({vpn.path})")
    assert event(messages, "device-lost") == (
        {"type": "device-lost", "device": "tun", "target": vpn.path}, f"device lost: tun {vpn.path}")
    assert event(messages, "device-back") == ({"type": "device-back", **device}, f"device back: tun {vpn.path} by stats ({vpn.path})")
    vpn.close()


@tells("device-changed")
def test_a_device_is_exchanged(make, vpn, directory):
    daemon = make().start()
    other = StatsProvider(directory / "other.sock")
    daemon.configure({"tun": {"stats-socket": other.path}})
    daemon.reload()
    daemon.stop()
    other.close()
    assert event(daemon.spool_messages(), "device-changed")[0] == {
        "type": "device-changed", "device": "tun", "source": "stats", "target": other.path}


@tells("device-changed")
def test_a_gap(wireguard, netlogd):
    left = wireguard[0]
    daemon = netlogd(left.namespace, {"tun": {"source": "packet", "interface": left.interface}, "sock": {"source": "none"},
                                      "record": {"period": "1h"}}).start()
    daemon.configure({"tun": {"source": "ebpf"}})
    daemon.reload()
    daemon.stop()
    told, text = event(daemon.spool_messages(), "device-changed")
    gap = float(re.search(r"nothing was counted for (\d+\.\d{3}) ms in between", text)[1]) / 1000
    assert told == {"type": "device-changed", "device": "tun", "source": "ebpf", "target": left.interface,
                    "gapSeconds": pytest.approx(gap, abs=1e-6)}
    assert told["gapSeconds"] > 0


@tells("device-warning")
def test_a_program_ahead(wireguard, netlogd):
    left = wireguard[0]
    ingress = bpf.TCX_ATTACH_TYPES["tcx ingress"]
    if bpf.tcx_programs(left.namespace, left.interface, ingress) is None:
        pytest.skip("this kernel has no TCX")
    daemon = netlogd(left.namespace, {"tun": {"source": "ebpf", "interface": left.interface}, "sock": {"source": "none"},
                                      "record": {"period": "1h"}}).start()
    with bpf.ahead(left.namespace, left.interface, ingress):
        daemon.flush()
        assert daemon.status()["tun"]["wentAhead"] == 1
    daemon.stop()
    told, text = event(daemon.spool_messages(), "device-warning")
    assert told == {"type": "device-warning", "device": "tun", "target": left.interface,
                    "warning": "another program had been put ahead of netlogd's"}
    assert text.startswith(f"tun: on {left.interface} another program had been put ahead of netlogd's")


@tells("peer-active", "peer-moved", "peer-silent")
@pytest.mark.parametrize("named", [False, True])
def test_peers(network, netlogd, clock, named):
    left, right = network.wireguard_pair()
    daemon = netlogd(left.namespace, {"tun": {"interface": left.interface}, "record": {"period": "1h", "heartbeat": "0"}})
    daemon.start(env=clock.env)
    if named:
        daemon.call("SetNodes", nodes=[{"nodeId": "n2", "name": "gate.example.net", "addresses": [right.address]}])
    network.handshake((left, right))
    daemon.flush()
    right.namespace.run("wg", "set", right.interface, "listen-port", "51999")
    traffic.send_udp(right, left, 3, 100)
    daemon.flush()
    clock.suspend(200 * SECOND)
    daemon.flush()
    with daemon.client() as client:
        (status,) = [status for part in client.stream("GetPeers") for status in part["peers"]]
    daemon.stop()
    messages = daemon.spool_messages()
    name = "gate.example.net" if named else right.public_key[:8]
    of_peer = {"peer": name, "nodeId": "n2" if named else right.public_key, "publicKey": right.public_key,
               "address": right.address, "path": "direct",
               "lastHandshake": status["lastHandshake"]}
    shown = name if named else right.address
    before, after = "192.0.2.2:51821", "192.0.2.2:51999"
    handshake = event(messages, "peer-active")[0]["lastHandshake"]
    assert event(messages, "peer-active") == (
        {"type": "peer-active", **of_peer, "endpoint": before, "lastHandshake": handshake}, f"peer {shown} is active at {before}")
    assert event(messages, "peer-moved") == (
        {"type": "peer-moved", **of_peer, "endpoint": after, "fromPath": "direct", "fromEndpoint": before},
        f"peer {shown} moved from {before} to {after}")
    assert event(messages, "peer-silent") == (
        {"type": "peer-silent", **of_peer, "endpoint": after}, f"peer {shown} is silent at {after}")


@tells("peers-omitted")
def test_more_events_than_are_kept(network, netlogd):
    namespace = network.namespace()
    tunnel = FakeTunnel(network, namespace, [peer("192.0.2.9:51820") for _ in range(300)])
    daemon = netlogd(namespace, {"tun": {"source": "none"}, "sock": {"source": "wireguard", "interface": tunnel.interface},
                                 "record": {"period": "1h"}}).start()
    for each in tunnel.peers:
        each["rx_bytes"] += 100
    daemon.flush()
    daemon.stop()
    messages = daemon.spool_messages()
    kept = len(events(messages, "peer-active"))
    assert kept == 256
    assert event(messages, "peers-omitted") == ({"type": "peers-omitted", "events": 300 - kept}, f"{300 - kept} more peer events")


@tells("lost")
def test_lost_before_the_spool(make):
    """What an earlier run has noted. Losses of a sink: test_upload_loss.py."""
    daemon = make()
    daemon.state.mkdir(mode=0o700, exist_ok=True)
    note = {"version": 1, "messages": 3, "bytes": 300, "from": 1700000000 * SECOND, "to": 1700000001 * SECOND}
    (daemon.state / "lost").write_text(json.dumps(note), encoding="ascii")
    daemon.start()
    wait_until(lambda: events(daemon.spool_messages(), "lost"), "the loss in the spool")
    daemon.stop()
    assert event(daemon.spool_messages(), "lost") == (
        {"type": "lost", "messages": 3, "bytes": 300, "from": "2023-11-14T22:13:20Z", "to": "2023-11-14T22:13:21Z",
         "reason": "the spool could not be written"},
        "lost 3 messages (300 bytes) from 2023-11-14T22:13:20Z to 2023-11-14T22:13:21Z: the spool could not be written")


@tells("window-lost")
def test_a_window_without_memory(make, vpn, directory):
    calls = FailingCalls(directory / "calls")
    # Memory for the entries comes before that for the messages.
    for after in range(20):
        daemon = make().start(env=calls.env())
        vpn.count([connection(0), connection(1)])
        calls.once("map", "ENOMEM", after)
        daemon.flush()
        daemon.stop()
        messages = daemon.spool_messages()
        assert calls.failed == 1
        if events(messages, "window-lost"):
            break
    calls.close()
    assert event(messages, "window-lost") == (
        {"type": "window-lost", "connections": 2, "reason": "Cannot allocate memory"},
        "lost a window of 2 connections: Cannot allocate memory")
    assert not [message for message in messages if "virtualTraffic" in message]


@tells("spool-removed")
@pytest.mark.parametrize("sink", [False, True])
def test_files_removed_by_another_program(make, vpn, collector_in, sink):
    daemon = make(record={"period": "100ms"})
    if sink:
        collector = collector_in(daemon.namespace)
        collector.stop()
        daemon.configure({"upload main": {"type": "logtail", "url": collector.url, "collection": "test"}})
    daemon.start()
    for number in range(5):
        vpn.count([connection(number)])
        daemon.flush(0)
    wait_until(lambda: daemon.status()["spool"]["syncedSequence"] >= 5, "a sync")
    for segment in (daemon.state / "spool").glob("*.seg"):
        segment.unlink()
    vpn.count([connection(5)])
    daemon.flush(0)
    wait_until(lambda: [text for text in traffic.texts(daemon.spool_messages()) if "removed by another program" in text],
               "the text in the new segment", 30)
    daemon.stop()
    told, text = event(daemon.spool_messages(), "spool-removed")
    assert told["messages"] >= 5
    assert told == {"type": "spool-removed", "messages": told["messages"], "undelivered": told["messages"] if sink else 0}
    assert f": {told['messages']} messages are gone" in text and ("before every sink had them" in text) == sink


@tells("heartbeat")
def test_heartbeat(make, clock):
    daemon = make(record={"heartbeat": "15m"}).start(env=clock.env)
    clock.suspend(900 * SECOND)
    daemon.flush()
    daemon.stop()
    assert event(daemon.spool_messages(), "heartbeat") == (
        {"type": "heartbeat", "silentSeconds": 900}, "running, nothing logged for 900 s")
