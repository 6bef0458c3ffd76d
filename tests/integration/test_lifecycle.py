# SPDX-License-Identifier: BSD-3-Clause
"""Starting and stopping, waiting for what is missing, and refusing what is wrong."""
import collections
import os
import signal

import pytest

from lib import bpf, traffic
from lib.daemon import program, sanitized
from lib.process import process_name, run
from lib.tun import Tun
from lib.varlink import VarlinkError
from lib.wait import wait_until


def describe_fds(pid):
    """How many descriptors of each kind the process has, as a Counter: <= tells whether one is within another."""
    names = collections.Counter()
    for fd in os.listdir(f"/proc/{pid}/fd"):
        try:
            names[os.readlink(f"/proc/{pid}/fd/{fd}").split(":")[0]] += 1
        except FileNotFoundError:
            continue
    return names


def resident(pid):
    with open(f"/proc/{pid}/statm", encoding="ascii") as statm:
        return int(statm.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


@pytest.fixture
def tun(network):
    return Tun(network, network.namespace())


def test_ten_starts_and_stops_leak_nothing(tun, netlogd):
    daemon = netlogd(tun.namespace, {"tun": {"interface": tun.interface}, "sock": {"source": "none"}}).start()
    pid = daemon.process.pid

    def state():
        return describe_fds(pid), bpf.attached(tun.namespace, tun.interface)

    with daemon.client() as client:
        # One round before measuring: what is created once and kept is not a leak.
        client.call("Stop")
        stopped = state()
        assert stopped[1] == []
        client.call("Start")
        running, memory = state(), resident(pid)
        assert len(running[1]) == 2
        for _ in range(10):
            client.call("Stop")
            # sd_notify() opens a socket for a moment, now or when `stopped` and `running` were taken.
            wait_until(lambda: state()[0] <= stopped[0], f"the stopped state {stopped}")
            assert state()[1] == []
            client.call("Stop")
            client.call("Start")
            with pytest.raises(VarlinkError) as error:
                client.call("Start")
            assert error.value.name == "org.netlogd.control.AlreadyRunning"
            assert error.value.parameters["publicId"]
            wait_until(lambda: state()[0] <= running[0], f"the running state {running}")
            assert len(state()[1]) == 2
        if not sanitized():
            assert resident(pid) <= memory + 512 * 1024
    daemon.stop()


def test_sighup_reloads_and_keeps_counting(wireguard, netlogd, collector_in):
    left, right = wireguard
    collector = collector_in(left.namespace)
    daemon = netlogd(left.namespace, {
        "tun": {"interface": left.interface}, "record": {"period": "30m"},
        "upload a": {"type": "logtail", "url": collector.url, "collection": "c"}}).start()
    before = traffic.send_udp(left, right, 100, 100)
    daemon.configure({"record": {"period": "1h"}})
    daemon.reload()
    after = traffic.send_udp(left, right, 50, 100)
    daemon.flush()
    key = traffic.connection_key(17, left.address, 40000, right.address, 40001)
    assert traffic.sums(collector.messages)[key].txPkts == before.txPkts + after.txPkts
    assert daemon.status()["window"]["periodMs"] == 3600 * 1000
    assert "RELOADING=1" in daemon.notify.read()


def test_reload_with_an_error_changes_nothing(tun, netlogd):
    daemon = netlogd(tun.namespace, {"tun": {"interface": tun.interface}}).start()
    daemon.configure({"record": {"period": "soon"}})
    with pytest.raises(VarlinkError) as error:
        daemon.call("Reload")
    assert error.value.name == "org.netlogd.control.ConfigurationInvalid"
    assert error.value.parameters["file"] == str(daemon.config)
    lines = daemon.config.read_text().splitlines()
    assert lines[error.value.parameters["line"] - 1] == "period=soon"
    assert daemon.status()["window"]["periodMs"] == 100
    daemon.stop()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_signals_shut_down_cleanly(tun, netlogd, number):
    daemon = netlogd(tun.namespace, {"tun": {"interface": tun.interface}}).start()
    uploader = daemon.uploader()
    assert uploader and process_name(uploader) == "netlogd-upload"
    # The uploader has its own process group, so that control-C in a terminal does not reach it.
    assert os.getpgid(uploader) == uploader
    daemon.process.signal(number)
    assert daemon.process.wait() == 0
    assert "STOPPING=1" in daemon.notify.read()
    assert not os.path.exists(f"/proc/{uploader}")
    assert bpf.attached(tun.namespace, tun.interface) == []


def test_a_signal_that_comes_twice_at_once_is_one(tun, netlogd, collector_in):
    """timeout(1) signals the process and then its group: the backlog is still delivered."""
    collector = collector_in(tun.namespace)
    daemon = netlogd(tun.namespace, {
        "tun": {"interface": tun.interface},
        "upload main": {"type": "logtail", "url": collector.url, "collection": "test"}}).start()
    daemon.process.signal(signal.SIGTERM)
    daemon.process.signal(signal.SIGINT)
    assert daemon.process.wait() == 0
    assert "again" not in daemon.log()
    assert collector.messages[-1]["text"] == "netlogd: stopped"


def test_two_daemons_on_one_state_directory(tun, netlogd):
    daemon = netlogd(tun.namespace, {"tun": {"interface": tun.interface}}).start()
    second = netlogd(tun.namespace, {
        "tun": {"interface": tun.interface},
        "netlogd": {"state-directory": daemon.state, "control-socket": daemon.directory / "second.sock"}}).launch()
    assert second.process.wait() not in (0, 78)
    assert str(daemon.state) in second.log()
    assert daemon.status()["tun"]["state"] == "counting"
    daemon.stop()


@pytest.mark.parametrize("section, key, value, expected", [
    ("record", "period", "50ms", "period"),
    ("record", "period", "2d", "period"),
    ("record", "colour", "red", "colour"),
    ("tun", "source", "magic", "source"),
    ("routes", "route", "10.0.0.0/33", "route"),
    ("spool", "max-size", "12Q", "max-size"),
    ("nonsense", "a", "b", "nonsense"),
    ("upload x", "url", "http://192.0.2.1/", "url"),
])
def test_bad_configuration(tun, netlogd, section, key, value, expected):
    sections = {"tun": {"interface": tun.interface}}
    if section.startswith("upload"):
        sections[section] = {"type": "logtail", "collection": "c"}
    sections.setdefault(section, {})[key] = value
    daemon = netlogd(tun.namespace, sections).launch()
    assert daemon.process.wait() == 78
    lines = daemon.config.read_text().splitlines()
    wanted = f"{key}={value}" if section != "nonsense" else "[nonsense]"
    number = lines.index(wanted) + 1
    # An unknown section may be reported at its header or at its first key.
    assert any(f"{daemon.config}:{line}:" in daemon.log() for line in (number, number + 1)), daemon.log()
    assert expected in daemon.log()
    assert not daemon.control_socket.exists()


def test_missing_configuration_file(tun, netlogd):
    daemon = netlogd(tun.namespace, {"tun": {"interface": tun.interface}})
    daemon.config.unlink()
    assert daemon.launch().process.wait() != 0
    assert str(daemon.config) in daemon.log()


def test_waits_for_a_missing_interface(network, netlogd):
    namespace = network.namespace()
    daemon = netlogd(namespace, {"tun": {"interface": "nlmissing0"}, "sock": {"source": "none"}}).start()
    status = daemon.status()
    assert status["tun"]["state"] == "waiting"
    assert "nlmissing0" in status["tun"]["interface"]
    # "systemctl status" says so, not "Counting".
    daemon.notify.wait(lambda states: states[-1].startswith("STATUS=Not counting: tun: waiting for interface nlmissing0, "),
                       "what it waits for")
    assert not any("STATUS=Counting" in state for state in daemon.notify.read())
    tun = Tun(network, namespace, interface="nlmissing0")
    wait_until(lambda: daemon.status()["tun"]["state"] == "counting", "counting once the interface is there")
    daemon.notify.wait(lambda states: states[-1].startswith("STATUS=Counting, "), "counting")
    assert len(bpf.attached(namespace, tun.interface)) == 2
    daemon.stop()


def test_status_for_the_service_manager(network, netlogd):
    """Of both layers, when one of them or both go and come, with a window too long to matter; and without any."""
    namespace = network.namespace()
    tun = Tun(network, namespace, interface="nlgone0")
    daemon = netlogd(namespace, {"tun": {"interface": "nlgone0"}, "sock": {"source": "wireguard", "interface": "nlwg0"},
                                 "record": {"period": "1h"}}).start()

    def told(words):
        daemon.notify.wait(lambda states: [s for s in ["", *states] if not s.startswith("READY")][-1].startswith(f"STATUS={words}"),
                           words)
    told("Counting in part: sock: waiting for interface nlwg0, ")
    tun.close()
    told("Not counting: tun: waiting for interface nlgone0; sock: waiting for interface nlwg0, ")
    tun = Tun(network, namespace, interface="nlgone0")
    told("Counting in part: sock: waiting for interface nlwg0, ")
    daemon.configure({"tun": {"interface": "nlwg0"}})
    daemon.reload()
    told("Not counting: waiting for interface nlwg0, ")
    daemon.configure({"tun": {"interface": "nlgone0"}})
    daemon.reload()
    daemon.configure({"sock": {"source": "none"}})
    daemon.reload()
    told("Counting, ")
    daemon.configure({"tun": {"source": "none"}})
    daemon.reload()
    told("Not counting: no device configured, ")
    daemon.configure({"tun": {"source": "auto"}, "sock": {"source": "auto", "interface": "nlgone0"}})
    daemon.reload()
    told("Counting, ")
    assert "no peers are known: no WireGuard or Tailscale tunnel is counted: wireguard: " in daemon.ctl("peers").stdout
    daemon.configure({"sock": {"source": "none", "interface": None}})
    daemon.reload()
    daemon.call("Stop")
    told("Stopped, ")
    daemon.stop()


def test_interface_disappears_and_comes_back(network, netlogd, collector_in):
    namespace = network.namespace()
    tun = Tun(network, namespace, interface="nlgone0")
    collector = collector_in(namespace)
    daemon = netlogd(namespace, {
        "tun": {"interface": "nlgone0"}, "sock": {"source": "none"}, "record": {"period": "1h"},
        "routes": {"mode": "static", "local-addr": "100.64.0.1", "route": "100.64.0.0/16"},
        "upload a": {"type": "logtail", "url": collector.url, "collection": "c"}}).start()
    with traffic.udp_socket(namespace, tun.address, 40000) as sock:
        for _ in range(7):
            sock.sendto(bytes(100), ("100.64.0.2", 40001))
    tun.close()
    wait_until(lambda: daemon.status()["tun"]["state"] == "lost", "the loss to be seen")
    tun = Tun(network, namespace, interface="nlgone0")
    wait_until(lambda: daemon.status()["tun"]["state"] == "counting", "counting again")
    with traffic.udp_socket(namespace, tun.address, 40000) as sock:
        for _ in range(5):
            sock.sendto(bytes(100), ("100.64.0.2", 40001))
    daemon.flush()
    key = traffic.connection_key(17, "100.64.0.1", 40000, "100.64.0.2", 40001)
    assert traffic.sums(collector.messages)[key] == traffic.Counts(12, 12 * 128, 0, 0)
    texts = " ".join(traffic.texts(collector.messages))
    assert "lost" in texts and "back" in texts
    daemon.stop()


def test_spool_directory_that_cannot_be_written(tun, netlogd, network, directory):
    # Root may write anywhere except on a read-only file system.
    mount = directory / "readonly"
    mount.mkdir()
    run(["mount", "-t", "tmpfs", "-o", "ro,size=64m", "tmpfs", mount])
    network.stack.callback(run, ["umount", mount])
    daemon = netlogd(tun.namespace, {"tun": {"interface": tun.interface}, "spool": {"directory": mount / "spool"}}).start()
    # Failing writes are a state, not the end: messages wait in memory.
    spool = daemon.status()["spool"]
    assert "Read-only" in spool["error"]
    assert spool["waitingMessages"] >= 1 and spool["lostMessages"] == 0
    run(["mount", "-o", "remount,rw", mount])
    wait_until(lambda: daemon.status()["spool"]["waitingMessages"] == 0, "the messages to be written")
    assert daemon.status()["spool"]["messages"] >= 1
    daemon.stop()


def test_unclean_shutdown_is_reported(tun, netlogd, collector_in):
    collector = collector_in(tun.namespace)
    daemon = netlogd(tun.namespace, {
        "tun": {"interface": tun.interface},
        "upload a": {"type": "logtail", "url": collector.url, "collection": "c"}}).start()
    collector.wait_messages(1)
    daemon.kill()
    if bpf.tcx_programs(tun.namespace, tun.interface, 46) is not None:
        wait_until(lambda: not bpf.attached(tun.namespace, tun.interface), "the kernel to detach the programs")
    daemon.start()
    collector.wait(lambda c: any("did not shut down cleanly" in text for text in traffic.texts(c.messages)), what="the text message")
    daemon.stop()


def test_version_help_and_check(tun, netlogd):
    assert run([program("netlogd"), "--version"]).stdout.startswith("netlogd ")
    assert "--config" in run([program("netlogd"), "--help"]).stdout
    daemon = netlogd(tun.namespace, {"tun": {"interface": tun.interface}})
    run([program("netlogd"), "--check-config", "--config", daemon.config])
    # A start would refuse these, too.
    nodes = daemon.directory / "nodes.json"
    daemon.configure({"node": {"nodes-file": nodes}})
    for text, reason in (None, f"{nodes}: No such file"), ('{"nodes": [\n}', f"{nodes}:2: "), (
            '{"nodes": [{"nodeId": "a\\u202eb"}]}', f'{nodes}: not a valid node: "a?b" has control characters'):
        if text is not None:
            nodes.write_text(text)
        result = run([program("netlogd"), "--check-config", "--config", daemon.config], check=False)
        assert result.returncode == 78 and reason in result.stderr, result.stderr
    nodes.write_text('{"nodes": [{"nodeId": "a"}]}')
    run([program("netlogd"), "--check-config", "--config", daemon.config])
    for names, reason in (nodes.with_suffix(".none"), "No such file"), (nodes.parent, "not a regular file"):
        daemon.configure({"node": {"wireguard-names": names}})
        result = run([program("netlogd"), "--check-config", "--config", daemon.config], check=False)
        assert result.returncode == 78 and f"wireguard-names = {names}: {reason}" in result.stderr, result.stderr
    daemon.configure({"node": {"wireguard-names": "none"}})
    run([program("netlogd"), "--check-config", "--config", daemon.config])
    daemon.configure({"tun": {"source": "magic"}})
    assert run([program("netlogd"), "--check-config", "--config", daemon.config], check=False).returncode == 78


def test_checks_files_with_the_rights_of_who_opens_them(tun, netlogd, directory):
    """Root can read what the service can't."""
    directory.chmod(0o755)
    daemon = netlogd(tun.namespace, {"tun": {"interface": tun.interface}, "sock": {"source": "none"}})
    nodes, secret = directory / "nodes.json", directory / "token"
    daemon.configure({"node": {"nodes-file": nodes, "log-id-file": directory / "node.logid"}, "upload main": {
        "type": "logtail", "url": "https://localhost", "collection": "c", "bearer-token-file": secret}})
    daemon.config.chmod(0o644)
    daemon.config.parent.chmod(0o755)

    def check(*arguments):
        result = run([program("netlogd"), "--check-config", "--config", daemon.config, *arguments], check=False)
        return result.returncode, result.stderr
    nodes.write_text('{"nodes":[]}')
    secret.write_text("token\n")
    nodes.chmod(0o600)
    secret.chmod(0o600)
    assert check() == (0, "")
    status, text = check("--as", "nobody")
    assert status == 78
    assert f"nodes-file = {nodes}" in text and f"bearer-token-file = {secret}: Permission denied" in text, text
    nodes.write_text('{"nodes":[')
    assert check()[0] == 78 and str(nodes) in check()[1]
    nodes.write_text('{"nodes":[]}')
    secret.chmod(0o640)
    assert "set mode 0600" in check()[1]
    secret.unlink()
    assert "No such file" in check()[1]
    assert check("--as", "no-such-user")[0] == 78
    assert run([program("netlogd"), "--as", "nobody"], check=False).returncode == 64
