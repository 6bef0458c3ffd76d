# SPDX-License-Identifier: BSD-3-Clause
"""Metrics: what operators graph, and what Prometheus says of it."""
import os
import pathlib
import pwd
import re
import shutil
import socket
import subprocess
import time

import pytest

from lib.daemon import program
from lib.metrics import family, samples, states, total
from lib.process import run
from lib.traffic import send_udp
from lib.tun import Tun
from lib.vpn import transfer_tcp
from lib.wait import wait_until

RULES = pathlib.Path(__file__).parents[2] / "packaging/prometheus"
CLASSES = {"virtual": "virtualTraffic", "subnet": "subnetTraffic", "exit": "exitTraffic", "physical": "physicalTraffic"}
DIRECTIONS = ("tx", "rx")


def promtool(*arguments, **options):
    return subprocess.run(["promtool", *map(str, arguments)], check=False, capture_output=True, text=True, timeout=60,
                          **options)


def check(text):
    """Prometheus' own opinion."""
    found = promtool("check", "metrics", input=text)
    assert (found.returncode, found.stdout, found.stderr) == (0, "", "")
    return samples(text)


def scrape(namespace, port=9586):
    with namespace.inside():
        connection = socket.create_connection(("127.0.0.1", port), 5)
    with connection:
        connection.sendall(b"GET /metrics HTTP/1.0\r\n\r\n")
        data = b"".join(iter(lambda: connection.recv(65536), b""))
    head, text = data.decode().split("\r\n\r\n", 1)
    return text if " 200 " in head.splitlines()[0] else ""


def logged(daemon, name, member):
    """Sum of a member over a class's entries of all messages."""
    return sum(entry.get(member, 0) for message in daemon.spool_messages() for entry in message.get(CLASSES[name], []))


@pytest.fixture
def counted(wireguard, netlogd, directory):
    """A daemon on a tunnel, after some traffic and the window's end."""
    left, right = wireguard
    daemon = netlogd(left.namespace, {
        "netlogd": {"metrics-listen": "127.0.0.1:9586", "metrics-textfile": directory / "netlogd.prom"},
        "tun": {"interface": left.interface}, "record": {"period": "1h", "exit-traffic": "full"},
        "upload lines": {"type": "file", "path": directory / "lines"}}).start()
    send_udp(left, right, 40, 1000, back=30)
    transfer_tcp(left, right, 100000)
    daemon.flush(0)
    daemon.ends = left, right
    return daemon


def test_traffic_is_what_messages_hold(counted):
    found = samples(counted.ctl("metrics").stdout)
    for name in CLASSES:
        for direction in DIRECTIONS:
            for unit, member in (("packets", "Pkts"), ("bytes", "Bytes")):
                assert total(found, f"netlogd_traffic_{unit}_total", **{"class": name}, direction=direction) == logged(
                    counted, name, direction + member), (name, direction, unit)
    assert total(found, "netlogd_traffic_bytes_total", **{"class": "virtual"}, direction="tx") >= 40 * 1028 + 100000
    assert total(found, "netlogd_traffic_bytes_total", **{"class": "physical"}, direction="rx") >= 30 * 1072
    # The TCP connection; of the datagrams nobody knows.
    assert {own["class"]: value for own, value in family(found, "netlogd_connections_begun_total")} == {
        "virtual": 1, "subnet": 0, "exit": 0}
    assert logged(counted, "virtual", "starts") == 1


def test_begins_that_nobody_knows_are_not_zero(counted):
    """Reduced exit traffic has no details, and without details nothing has."""
    def classes():
        return {own["class"] for own, _ in family(samples(counted.ctl("metrics").stdout), "netlogd_connections_begun_total")}

    assert classes() == {"virtual", "subnet", "exit"}
    for how in "aggregate", "anonymize":
        counted.configure({"record": {"exit-traffic": how}})
        counted.reload()
        assert classes() == {"virtual", "subnet"}
    counted.configure({"record": {"details": "no", "exit-traffic": "full"}})
    counted.reload()
    assert classes() == set()


def test_traffic_by_peer_is_physical_traffic(counted):
    left, right = counted.ends
    found = samples(counted.ctl("metrics").stdout)
    name = right.public_key[:8]
    assert states(found, "netlogd_peer_path", "path", peer=name) == {"direct": 1, "derp": 0, "relay": 0, "unknown": 0}
    assert total(found, "netlogd_peers", path="direct", state="active") == 1
    assert total(found, "netlogd_peers", state="silent") == 0
    shaken, = family(found, "netlogd_peer_last_handshake_timestamp_seconds")
    told = left.namespace.run("wg", "show", left.interface, "latest-handshakes").stdout.split()
    assert shaken[0] == {"peer": name} and int(shaken[1]) == int(told[1])
    for unit in "bytes", "packets":
        for direction in DIRECTIONS:
            physical = total(found, f"netlogd_traffic_{unit}_total", **{"class": "physical"}, direction=direction)
            peer = total(found, f"netlogd_peer_traffic_{unit}_total", peer=name, path="direct", direction=direction)
            assert peer == physical > 0
            assert total(found, f"netlogd_peer_traffic_{unit}_total", direction=direction) == physical
            assert total(found, f"netlogd_peer_traffic_withdrawn_{unit}", direction=direction) == 0


def test_peers_beyond_those_wanted_are_one(counted):
    """metrics-peers, also of a reload: what is no longer shown is withdrawn, and nothing is counted twice."""
    left, right = counted.ends
    name = right.public_key[:8]
    keys = [run(["wg", "pubkey"], stdin=run(["wg", "genkey"]).stdout).stdout.strip() for _ in range(3)]
    for number, key in enumerate(keys):
        left.namespace.run("wg", "set", left.interface, "peer", key, "allowed-ips", f"100.64.1.{number}/32",
                           "endpoint", f"192.0.2.9:{5000 + number}")
    before = samples(counted.ctl("metrics").stdout)
    counted.flush(0)
    found = samples(counted.ctl("metrics").stdout)
    # They came later: their counters come within two minutes. Until then they are the rest.
    assert {own["peer"] for own, _ in family(found, "netlogd_peer_path")} == {name}
    # Nothing has come from there.
    assert total(found, "netlogd_peers", path="unknown", state="silent") == 3
    counted.configure({"netlogd": {"metrics-peers": 0}})
    counted.reload()
    text = counted.ctl("metrics").stdout
    assert name not in text and "netlogd_peer_" not in text
    assert "netlogd_peers{" in text
    counted.configure({"netlogd": {"metrics-peers": 100}})
    counted.reload()
    send_udp(left, right, 10, 1000)
    counted.flush(0)
    found = samples(counted.ctl("metrics").stdout)
    for direction in DIRECTIONS:
        moved = [total(now, "netlogd_peer_traffic_bytes_total", direction=direction) for now in (before, found)]
        physical = [total(now, "netlogd_traffic_bytes_total", **{"class": "physical"}, direction=direction)
                    for now in (before, found)]
        assert moved == physical
    assert physical != [0, 0]


def test_promtool_has_nothing_to_say(counted, directory):
    found = check(counted.ctl("metrics").stdout)
    status = counted.status()
    assert found[f'netlogd_build_info{{version="{status["version"]}"}}'] == 1
    assert abs(found["process_start_time_seconds"] - time.time()) < 600
    assert found["process_threads"] == len(os.listdir(f"/proc/{counted.process.pid}/task"))
    assert found["process_open_fds"] >= 10
    limits = pathlib.Path(f"/proc/{counted.process.pid}/limits").read_text()
    assert found["process_max_fds"] == int(re.search(r"Max open files +(\d+)", limits)[1])
    assert 0 < found["process_cpu_seconds_total"] < 60
    assert 1 << 20 < found["process_resident_memory_bytes"] < found["process_virtual_memory_bytes"]
    # The port and the file have the same, as of the last window's end; the port has two more.
    counted.configure({"record": {"period": "100ms"}})
    counted.reload()
    name = counted.ends[1].public_key[:8]
    text = wait_until(lambda: (text := scrape(counted.namespace)) and f'peer="{name}"' in text and text, "the port")
    port = check(text)
    file = check(wait_until(lambda: f'peer="{name}"' in (text := (directory / "netlogd.prom").read_text()) and text,
                            "the file"))
    # When a sink first had something is a matter of time.
    found, port, file = ({key for key in one if "last_success" not in key} for one in (found, port, file))
    assert port - found == {"netlogd_metrics_dropped_total", "netlogd_metrics_accept_errors_total"} and found <= port
    # node_exporter, which takes in the file, has a process of its own.
    assert all(key.startswith("netlogd_") for key in file)
    assert {key.removeprefix("netlogd_") if key.startswith("netlogd_process_") else key for key in file} == found


def test_names_are_for_operators(counted, directory):
    """Whoever may not ask for the peers gets the metrics without them."""
    name = counted.ends[1].public_key[:8]
    os.chmod(counted.control_socket, 0o666)
    for path in (directory, counted.directory):
        os.chmod(path, 0o755)
    nobody = pwd.getpwnam("nobody").pw_uid
    # The program may lie where others cannot go.
    tool = shutil.copy(program("netlogctl"), directory / "netlogctl")

    def asked_by(uid):
        return subprocess.run([tool, "--socket", counted.control_socket, "metrics"], user=uid, group=uid, extra_groups=[],
                              check=True, capture_output=True, text=True, timeout=60).stdout

    everybody = check(asked_by(nobody))
    assert not [key for key in everybody if "peer=" in key or key.startswith("netlogd_peer_")]
    assert total(everybody, "netlogd_traffic_bytes_total", **{"class": "physical"}) > 0
    assert name in asked_by(0)
    # Neither gets what was made for the other a moment ago.
    assert name not in asked_by(nobody)


def test_who_has_most_traffic_is_shown(wireguard, netlogd, clock):
    """One of two peers: the busy one comes, the idle one goes, each two minutes apart from its traffic."""
    left, right = wireguard
    busy, idle = right.public_key[:8], "~"
    # Of equals the first is shown at the start.
    while idle >= busy:
        key = run(["wg", "pubkey"], stdin=run(["wg", "genkey"]).stdout).stdout.strip()
        idle = key[:8]
    left.namespace.run("wg", "set", left.interface, "peer", key, "allowed-ips", "100.64.1.1/32")
    daemon = netlogd(left.namespace, {
        "netlogd": {"metrics-peers": 1}, "tun": {"interface": left.interface},
        "record": {"period": "1h"}}).start(env=clock.env)

    def window(seconds):
        """After some traffic, and so much time: who is shown, and what was counted of the busy peer and of the rest."""
        send_udp(left, right, 10, 1000)
        clock.suspend(seconds * 1_000_000_000)
        daemon.flush(0)
        found = samples(daemon.ctl("metrics").stdout)
        sums = [total(found, "netlogd_peer_traffic_bytes_total", peer=peer) for peer in (busy, "other")]
        assert sum(sums) == total(found, "netlogd_traffic_bytes_total", **{"class": "physical"})
        return {own["peer"] for own, _ in family(found, "netlogd_peer_path")}, *sums

    shown, own, before = window(10)
    assert (shown, own) == ({idle}, 0) and before >= 10 * 1072
    shown, own, rest = window(120)
    assert (shown, own) == ({idle, busy}, 0) and rest >= before + 10 * 1072
    shown, own, rest_then = window(120)
    assert (shown, own) == ({busy}, 0) and rest_then >= rest + 10 * 1072
    shown, own, rest = window(10)
    assert shown == {busy} and own >= 10 * 1072 and rest == rest_then


@pytest.mark.parametrize("allowed", ["0.0.0.0/0", "100.64.0.0/16", "100.64.0.2/32,10.1.0.0/16,fd00::2/128"])
def test_traffic_is_its_peers_whatever_it_is_allowed(wireguard, netlogd, allowed):
    left, right = wireguard
    left.namespace.run("wg", "set", left.interface, "peer", right.public_key, "allowed-ips", allowed)
    daemon = netlogd(left.namespace, {"tun": {"interface": left.interface}, "record": {"period": "1h"}}).start()
    send_udp(left, right, 20, 1000)
    daemon.flush(0)
    found = samples(daemon.ctl("metrics").stdout)
    physical = total(found, "netlogd_traffic_bytes_total", **{"class": "physical"})
    peer, = {own["peer"] for own, _ in family(found, "netlogd_peer_path")}
    assert total(found, "netlogd_peer_traffic_bytes_total", peer=peer, path="direct") == physical >= 20 * 1072
    assert total(found, "netlogd_peer_traffic_bytes_total", peer="other") == 0


def test_long_windows(network, netlogd, directory):
    """There are metrics before the first window ends."""
    namespace = network.namespace("long")
    tun = Tun(network, namespace)
    netlogd(namespace, {"netlogd": {"metrics-listen": "127.0.0.1:9586", "metrics-textfile": directory / "netlogd.prom"},
                        "tun": {"interface": tun.interface}, "record": {"period": "1h"}}).start()
    file = wait_until(lambda: (directory / "netlogd.prom").exists() and (directory / "netlogd.prom").read_text(), "the file")

    def port():
        try:
            return scrape(namespace)
        except ConnectionError:  # the uploader begins
            return ""

    for text in file, wait_until(port, "the port"):
        assert check(text)["netlogd_running"] == 1


def test_names_are_escaped(wireguard, netlogd, directory):
    left, _ = wireguard
    nodes = directory / "nodes.json"
    nodes.write_text('{"nodes": [{"nodeId": "n1", "name": "ein \\"Müller\\\\é", "addresses": ["100.64.0.2"]}]}')
    daemon = netlogd(left.namespace, {"tun": {"interface": left.interface}, "node": {"nodes-file": nodes},
                                      "record": {"period": "1h"}}).start()
    text = daemon.ctl("metrics").stdout
    assert 'netlogd_peer_path{peer="ein \\"Müller\\\\é",path="direct"} 1\n' in text
    check(text)


def test_alerts():
    found = promtool("check", "rules", RULES / "netlogd.rules.yml")
    assert found.returncode == 0 and "SUCCESS: 15 rules found" in found.stdout, found.stdout + found.stderr
    found = promtool("test", "rules", "netlogd.rules.test.yml", cwd=RULES)
    assert found.returncode == 0 and "SUCCESS" in found.stdout, found.stdout + found.stderr


def test_each_alert_has_its_tests_and_its_row():
    rules = (RULES / "netlogd.rules.yml").read_text()
    tests = (RULES / "netlogd.rules.test.yml").read_text()
    readme = (RULES / "README.md").read_text()
    names = re.findall(r"- alert: (\w+)", rules)
    assert len(names) == len(set(names)) == 15
    for key in "summary:", "description:", "severity:":
        assert rules.count(key) == len(names)
    for name in names:
        cases = re.findall(rf"  - name: {name} ((?:.*\n)+?)(?=  - name|\n|\Z)", tests)
        assert [case for case in cases if case.startswith("fires") and "exp_labels" in case], name
        assert [case for case in cases if case.startswith("does not fire") and "exp_alerts: []" in case], name
        assert f"`{name}`" in readme


def test_alerts_are_of_metrics_that_exist(counted):
    """promtool does not know which."""
    kinds = {line.split()[2] for line in counted.ctl("metrics").stdout.splitlines() if line.startswith("# TYPE ")}
    for name in "netlogd.rules.yml", "netlogd.rules.test.yml", "README.md":
        used = set(re.findall(r"\b(?:netlogd|process)_[a-z_]+", (RULES / name).read_text()))
        assert used and used <= kinds, used - kinds


def test_an_interface_that_is_away_has_no_counters(network, netlogd):
    """Prometheus would take what comes back after a zero for new: here, drops that nobody saw twice."""
    namespace = network.namespace("drop")
    tun = Tun(network, namespace)
    namespace.ip("link", "set", tun.interface, "txqueuelen", "10")
    daemon = netlogd(namespace, {"tun": {"interface": tun.interface}, "record": {"period": "1h"}}).start()

    def dropped():
        return family(samples(daemon.ctl("metrics").stdout), "netlogd_device_interface_dropped_packets_total", device="tun",
                      direction="tx")

    with namespace.inside(), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        for _ in range(40):
            sender.sendto(b"x", ("100.64.0.2", 9))
    daemon.flush(0)
    before = dropped()
    assert before[0][1] == 30
    daemon.ctl("stop")
    assert dropped() == []
    daemon.ctl("start")
    assert dropped() == before
