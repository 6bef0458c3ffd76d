# SPDX-License-Identifier: BSD-3-Clause
"""Text messages: every kind, from the real daemon, in its place between the windows."""
import itertools
import json
import re

import pytest

from lib import traffic
from lib.daemon import Tailer
from lib.wait import wait_until
from stats_provider import StatsProvider, connection

SECOND = 10**9


@pytest.fixture
def stats_daemon(network, netlogd, vpn, clock):
    """A daemon that reads the provider; the test ends its windows."""
    return netlogd(network.namespace(), {
        "tun": {"source": "stats", "stats-socket": vpn.path}, "sock": {"source": "none"},
        "routes": {"mode": "static", "local-addr": "100.64.0.1", "route": "100.64.0.0/16"},
        "record": {"period": "1h"}}).start(env=clock.env)


def window(daemon, vpn, tail):
    """Makes a window with traffic; returns its times and the texts after its message."""
    vpn.count([connection(0)])
    seen = len(tail.messages)
    daemon.flush()
    last = daemon.status()["record"]["procSeq"]
    tail.until(lambda messages: messages and messages[-1]["logtail"]["proc_seq"] == last, "all of the window's messages")
    # The run's first text may come late.
    made = itertools.dropwhile(lambda message: "virtualTraffic" not in message, tail.messages[seen:])
    message, *texts = made
    return traffic.nanoseconds(message["start"]), traffic.nanoseconds(message["end"]), traffic.texts(texts)


@pytest.mark.parametrize("step", [100, 1.5, -1.5, -100])
def test_a_step_of_the_wall_clock(stats_daemon, vpn, clock, step):
    with Tailer(stats_daemon) as tail:
        _, before, _ = window(stats_daemon, vpn, tail)
        clock.step(int(step * SECOND))
        start, end, texts = window(stats_daemon, vpn, tail)
        # The window's end is on the clock that it began with.
        assert start == before + 1 and 0 <= end - start < 20 * SECOND
        (text,) = texts
        told = float(re.fullmatch(r"netlogd: the wall clock stepped by ([+-]\d+\.\d{3}) s", text)[1])
        assert told == pytest.approx(step, abs=0.01)
        after, end_after, texts = window(stats_daemon, vpn, tail)
        assert step - 0.01 < (after - end) / SECOND < step + 5
        assert after <= end_after and texts == []
        assert window(stats_daemon, vpn, tail)[0] == end_after + 1
    assert stats_daemon.status()["record"]["clockSteps"] == 1
    stats_daemon.stop()


@pytest.mark.parametrize("step", [0.9, -0.9])
def test_less_than_a_second_is_no_step(stats_daemon, vpn, clock, step):
    with Tailer(stats_daemon) as tail:
        _, end, _ = window(stats_daemon, vpn, tail)
        for number in range(3):
            if number == 0:
                clock.step(int(step * SECOND))
            start, now, texts = window(stats_daemon, vpn, tail)
            assert start == end + 1 and now >= start and texts == []
            end = now
    stats_daemon.stop()


def test_windows_do_not_overlap_over_a_stop(stats_daemon, vpn, clock):
    """Not even when the wall clock was set back a little while the logger was stopped."""
    with Tailer(stats_daemon) as tail:
        _, end, _ = window(stats_daemon, vpn, tail)
        stats_daemon.call("Stop")
        clock.step(-SECOND // 2)
        stats_daemon.call("Start")
        tail.until(lambda messages: "started" in messages[-1].get("text", ""), "the start")
        start, now, _ = window(stats_daemon, vpn, tail)
        assert end < start <= now
    stats_daemon.stop()


def test_heartbeat(stats_daemon, vpn, clock):
    with Tailer(stats_daemon) as tail:
        window(stats_daemon, vpn, tail)
        clock.suspend(899 * SECOND)
        stats_daemon.flush()
        clock.suspend(SECOND)
        stats_daemon.flush()
        message = tail.next()
        assert message["text"] == "netlogd: running, nothing logged for 900 s"
        # A logged window replaces the heartbeat.
        clock.suspend(800 * SECOND)
        window(stats_daemon, vpn, tail)
        clock.suspend(800 * SECOND)
        stats_daemon.flush()
        assert stats_daemon.status()["record"]["procSeq"] == tail.messages[-1]["logtail"]["proc_seq"]
    stats_daemon.stop()


def test_a_heartbeat_within_a_long_window(stats_daemon):
    with Tailer(stats_daemon) as tail:
        stats_daemon.configure({"record": {"heartbeat": "1s"}})
        stats_daemon.reload()
        for _ in range(2):
            assert tail.next(5)["text"] == "netlogd: running, nothing logged for 1 s"
    stats_daemon.stop()


def test_a_vpn_that_ends_is_a_lost_device(stats_daemon, vpn):
    with Tailer(stats_daemon) as tail:
        window(stats_daemon, vpn, tail)
        vpn.close()
        for _ in range(3):
            stats_daemon.flush()
        assert stats_daemon.status()["tun"]["state"] == "lost"
        again = StatsProvider(vpn.path)
        stats_daemon.flush()
        assert again.enabled is True
        again.count([connection(0, 3)])
        stats_daemon.flush()
        messages = tail.until(lambda m: m[-1].get("virtualTraffic", [{}])[0].get("txPkts") == 3, "counts after it is back")
        assert traffic.texts(messages) == [
            f"netlogd: device lost: tun {vpn.path}",
            f"netlogd: device back: tun {vpn.path} by stats ({vpn.path})"]
        again.close()
    stats_daemon.stop()


def test_unclean_shutdown_with_the_last_messages_time(stats_daemon, vpn, clock):
    with Tailer(stats_daemon) as tail:
        window(stats_daemon, vpn, tail)
        last = tail.messages[-1]["logtail"]["client_time"]
    stats_daemon.kill()
    stats_daemon.start(env=clock.env)
    with Tailer(stats_daemon):
        texts = traffic.texts(stats_daemon.spool_messages())
    assert texts[1] == f"netlogd: previous run did not shut down cleanly; last message at {last}"
    stats_daemon.stop()
    stats_daemon.start(env=clock.env)
    wait_until(lambda: "started" in traffic.texts(stats_daemon.spool_messages())[-1], "the start's text in the spool")
    texts = traffic.texts(stats_daemon.spool_messages())
    assert len([text for text in texts if "shut down cleanly" in text]) == 1
    assert [re.sub(r",.*", "", text) for text in texts[-2:]] == ["netlogd: stopped", "netlogd: started"]
    stats_daemon.stop()


@pytest.mark.parametrize("wanted", [True, False])
def test_peers(network, netlogd, clock, wanted):
    left, right = network.wireguard_pair()
    daemon = netlogd(left.namespace, {
        "tun": {"interface": left.interface},
        "record": {"period": "1h", "heartbeat": "0", **({} if wanted else {"peer-events": "no"})}}).start(env=clock.env)
    network.handshake((left, right))
    daemon.flush()
    right.namespace.run("wg", "set", right.interface, "listen-port", "51999")
    traffic.send_udp(right, left, 3, 100)
    daemon.flush()
    clock.suspend(200 * SECOND)
    daemon.flush()
    if not wanted:
        # What happened meanwhile is not reported later.
        daemon.configure({"record": {"peer-events": "yes"}})
        daemon.reload()
        daemon.flush()
    texts = [text for text in traffic.texts(daemon.spool_messages()) if "peer" in text]
    assert texts == ([
        "netlogd: peer 100.64.0.2 is active at 192.0.2.2:51821",
        "netlogd: peer 100.64.0.2 moved from 192.0.2.2:51821 to 192.0.2.2:51999",
        "netlogd: peer 100.64.0.2 is silent at 192.0.2.2:51999"] if wanted else [])
    events = [message["event"] for message in daemon.spool_messages() if message.get("event", {}).get("peer")]
    handshakes = {event.pop("lastHandshake") for event in events}
    peer = {"peer": right.public_key[:8], "nodeId": right.public_key, "publicKey": right.public_key,
            "address": "100.64.0.2", "path": "direct"}
    old, new = "192.0.2.2:51821", "192.0.2.2:51999"
    assert len(handshakes) == (1 if wanted else 0)
    assert events == ([
        {"type": "peer-active", **peer, "endpoint": old},
        {"type": "peer-moved", **peer, "endpoint": new, "fromPath": "direct", "fromEndpoint": old},
        {"type": "peer-silent", **peer, "endpoint": new}] if wanted else [])
    daemon.stop()


def test_every_text_is_numbered_like_the_windows(stats_daemon, vpn, clock):
    with Tailer(stats_daemon) as tail:
        for step in 0, 50, 0, -50:
            clock.step(step * SECOND)
            window(stats_daemon, vpn, tail)
        stats_daemon.call("Stop")
        stats_daemon.call("Start")
        tail.until(lambda messages: "started" in messages[-1].get("text", ""), "the second start")
    messages = stats_daemon.spool_messages()
    assert [message["logtail"]["proc_seq"] for message in messages] == list(range(1, len(messages) + 1))
    assert len({json.dumps(message["logtail"]["proc_id"]) for message in messages}) == 1
    assert [re.sub(r",.*| by .*", "", text) for text in traffic.texts(messages)] == [
        "netlogd: started", "netlogd: the wall clock stepped", "netlogd: the wall clock stepped", "netlogd: stopped",
        "netlogd: started"]
    stats_daemon.stop()
