# SPDX-License-Identifier: BSD-3-Clause
"""The daemon's control socket: what a client may do, and what a bad one cannot."""
import json
import os
import re
import signal
import socket
import stat
import time

import pytest

from lib.daemon import program
from lib.process import run
from lib.metrics import samples, states
from lib.varlink import VarlinkError
from lib.wait import wait_until

CONTROL = "org.netlogd.control."


@pytest.fixture
def daemon(network, netlogd):
    """A daemon that counts nothing, so that only the control socket is at work."""
    return netlogd(network.namespace(), {
        "tun": {"source": "none"}, "sock": {"source": "none"},
        "routes": {"mode": "static", "local-addr": "100.64.0.1"}}).start()


def connect(daemon):
    client = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    client.settimeout(20)
    client.connect(str(daemon.control_socket))
    return client


def replies(client, n):
    data = b""
    while data.count(b"\0") < n:
        part = client.recv(65536)
        assert part, f"closed after {data!r}"
        data += part
    return [json.loads(text) for text in data.split(b"\0")[:n]]


def request(method, **parameters):
    return json.dumps({"method": method, "parameters": parameters}).encode() + b"\0"


def test_socket_mode_and_introspection(daemon):
    assert stat.S_IMODE(os.stat(daemon.control_socket).st_mode) == 0o660
    with connect(daemon) as client:
        client.sendall(request("org.varlink.service.GetInfo"))
        info = replies(client, 1)[0]["parameters"]
        assert info["product"] == "netlogd"
        assert set(info["interfaces"]) == {"org.varlink.service", "org.netlogd.control"}
        client.sendall(request("org.varlink.service.GetInterfaceDescription", interface="org.netlogd.control"))
        text = replies(client, 1)[0]["parameters"]["description"]
        for method in "Start Stop Reconfig Reload Flush SetNodes Status Metrics Tail".split():
            assert f"method {method}(" in text


def test_pipelined_requests_are_answered_in_order(daemon):
    with connect(daemon) as client:
        wanted = []
        for i in range(50):
            client.sendall(request("org.varlink.service.GetInfo") + request(CONTROL + "Flush", deadlineMs=0)
                           + request(CONTROL + f"Nonsense{i}"))
            wanted += [None, None, "org.varlink.service.MethodNotFound"]
        assert [reply.get("error") for reply in replies(client, len(wanted))] == wanted


@pytest.mark.parametrize("garbage", [
    b"hello\0", b"\0", b"[]\0", b'{"method": 7}\0', b"\xff\xfe\0", b'{"method":' + b"[" * 100000 + b"\0"],
    ids=["text", "nothing", "list", "number", "bytes", "deep"])
def test_garbage_harms_no_other_client(daemon, garbage):
    with connect(daemon) as other, connect(daemon) as client:
        client.sendall(garbage)
        while client.recv(65536):
            pass  # an answer may come before the end
        other.sendall(request(CONTROL + "Status"))
        assert replies(other, 1)[0]["parameters"]["status"]["running"]


def test_a_message_beyond_a_mebibyte_is_cut_off(daemon):
    with connect(daemon) as client:
        with pytest.raises((ConnectionError, BrokenPipeError)):
            for _ in range(64):
                client.sendall(b" " * 65536)
            if not client.recv(1):
                raise ConnectionError
    assert daemon.status()["control"]["cutOff"] == 1


def test_the_65th_client_is_refused(daemon):
    clients = [connect(daemon) for _ in range(64)]
    try:
        for client in clients:
            client.sendall(request("org.varlink.service.GetInfo"))
            replies(client, 1)
        with connect(daemon) as one_more:
            assert one_more.recv(1) == b""
    finally:
        for client in clients:
            client.close()
    wait_until(lambda: _answers(daemon), "an answer after the crowd has gone")


def _answers(daemon):
    try:
        return daemon.status()["running"]
    except (ConnectionError, EOFError, OSError):
        return False


def call_as(uid, daemon, method):
    """Calls a method as another user, in a child process; returns the error's name or None."""
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.setgroups([])
            os.setresuid(uid, uid, uid)
            with connect(daemon) as client:
                client.sendall(request(CONTROL + method))
                os.write(write, json.dumps(replies(client, 1)[0].get("error")).encode())
        finally:
            os._exit(0)
    os.close(write)
    with os.fdopen(read, "rb") as pipe:
        answer = pipe.read()
    os.waitpid(child, 0)
    return json.loads(answer)


def test_who_may_do_what(network, netlogd, directory):
    daemon = netlogd(network.namespace(), {
        "netlogd": {"operators": "1234"}, "tun": {"source": "none"}, "sock": {"source": "none"}}).start()
    # The socket's mode would keep these users out, but this is about those who can connect.
    os.chmod(daemon.control_socket, 0o666)
    for path in (directory, daemon.directory):
        os.chmod(path, 0o755)
    denied = "org.varlink.service.PermissionDenied"
    for method in ("Start", "Stop", "Reload", "Flush", "Reconfig", "SetNodes", "Tail", "GetRoutes", "GetPeers",
                   "GetNodes"):
        assert call_as(4321, daemon, method) == denied, method
    for method in ("Status", "Metrics"):
        assert call_as(4321, daemon, method) is None, method
    assert call_as(1234, daemon, "Flush") is None
    assert call_as(0, daemon, "Flush") is None


def test_errors_have_names(daemon):
    def error(method, **parameters):
        with pytest.raises(VarlinkError) as caught:
            daemon.call(method, **parameters)
        return caught.value.name.removeprefix(CONTROL), caught.value.parameters

    public = daemon.status()["publicId"]
    assert len(public) == 64
    assert error("Start") == ("AlreadyRunning", {"publicId": public})
    routes = {"localAddrs": ["100.64.0.1"], "routes": ["10.0.0.0/33"], "subnetRoutes": []}
    assert error("Reconfig", routes=routes) == ("InvalidRoute", {"value": "10.0.0.0/33"})
    name, parameters = error("SetNodes", nodes=[{"nodeId": "n1", "addresses": ["nowhere"]}])
    assert (name, parameters["value"]) == ("InvalidNode", "nowhere")
    assert parameters["reason"] == "is not an address"
    daemon.call("Stop")
    assert error("Flush") == ("NotRunning", {})
    assert daemon.call("Stop") == {"pendingMessages": 0, "pendingBytes": 0}
    name, parameters = error("Start", tun={"source": "ebpf", "interface": "lo\0"[:2]}, sock={"source": "ebpf"})
    assert (name, parameters["device"]) == ("DeviceUnavailable", "sock")
    assert not daemon.status()["running"]
    assert error("Start", nodeLogId="00")[0] == "org.varlink.service.InvalidParameter"

    text = daemon.config.read_text()
    daemon.config.write_text(text + "[record]\nperiod=never\n")
    name, parameters = error("Reload")
    assert name == "ConfigurationInvalid"
    assert parameters["file"] == str(daemon.config)
    assert parameters["line"] == len(text.splitlines()) + 1 or "period" in parameters["reason"]
    daemon.config.write_text(text.replace(str(daemon.state), str(daemon.directory / "elsewhere")))
    name, parameters = error("Reload")
    assert name == "ConfigurationInvalid"
    assert "state-directory" in parameters["reason"]
    daemon.config.write_text(text)
    daemon.call("Reload")


def test_tail_needs_more(daemon):
    with pytest.raises(VarlinkError) as caught:
        daemon.call("Tail")
    assert (caught.value.name, caught.value.parameters) == ("org.varlink.service.ExpectedMore", {})


@pytest.mark.parametrize("layer, device, name, detail", [
    ("tun", {"source": "bogus"}, "org.varlink.service.InvalidParameter", "tun"),
    ("tun", {"source": "ebpf", "interface": ""}, "org.varlink.service.InvalidParameter", "tun"),
    ("tun", {"source": "ebpf", "interface": "sixteen-letters-"}, "org.varlink.service.InvalidParameter", "tun"),
    ("sock", {"source": "stats", "statsSocket": "here"}, "org.varlink.service.InvalidParameter", "sock"),
    ("tun", {"source": "ebpf"}, CONTROL + "DeviceUnavailable",
     "source ebpf needs interface, neither given nor configured"),
    ("sock", {"source": "stats"}, CONTROL + "DeviceUnavailable",
     "source stats needs stats-socket, neither given nor configured"),
    ("tun", {"source": "wireguard", "interface": "lo"}, CONTROL + "DeviceUnavailable",
     "source wireguard: expected auto, ebpf, packet, stats or none"),
])
def test_devices_that_start_refuses(daemon, layer, device, name, detail):
    daemon.call("Stop")
    with pytest.raises(VarlinkError) as caught:
        daemon.call("Start", **{layer: device})
    expected = {"parameter": detail} if name.startswith("org.varlink") else {"device": layer, "reason": detail}
    assert (caught.value.name, caught.value.parameters) == (name, expected)
    assert not daemon.status()["running"]


def test_a_log_id_given_to_start(daemon, directory):
    private = directory / "other.logid"
    public = daemon.ctl("id", "new", private).stdout.split()[-1]
    daemon.call("Stop")
    assert daemon.call("Start", nodeLogId=private.read_text().strip()) == {"publicId": public}
    assert daemon.status()["publicId"] == public
    daemon.call("Stop")
    configured = daemon.call("Start")["publicId"]
    assert configured != public
    # A secret appears in no log line and no argument list.
    assert private.read_text().strip() not in daemon.log()


def test_routes_stay_until_reload_and_may_be_set_while_stopped(daemon):
    def configured():
        return [route["prefix"] for route in daemon.routes("routes")]

    daemon.call("Stop")
    daemon.call("Reconfig", routes={"localAddrs": ["100.64.0.7"], "routes": ["10.0.0.0/8"], "subnetRoutes": []})
    assert configured() == ["10.0.0.0/8"]
    daemon.call("Start")
    assert configured() == ["10.0.0.0/8"]
    daemon.call("Reload")
    wait_until(lambda: configured() == [], "the configured routes again")


def test_nodes_and_metrics(daemon):
    daemon.call("SetNodes", nodes=[{"nodeId": "n1", "name": "one.example.", "addresses": ["100.64.0.1"]}])
    assert daemon.status()["nodes"] == 1
    with daemon.client() as client:
        assert [part["nodes"] for part in client.stream("GetNodes")] == [
            [{"nodeId": "n1", "name": "one.example", "addresses": ["100.64.0.1"], "tags": []}]]
    text = daemon.call("Metrics")["text"]
    assert "netlogd_running 1\n" in text
    for line in text.splitlines():
        assert line.startswith("#") or len(line.rsplit(" ", 1)) == 2


def test_long_lists_come_in_parts(daemon):
    """Status tells only how long they are; a list of the moment comes in parts, also to one who reads slowly."""
    routes = [f"10.{i // 250}.{i % 250}.0/24" for i in range(20000)]
    daemon.call("Reconfig", routes={"localAddrs": [], "routes": routes, "subnetRoutes": []})
    status = daemon.status()
    assert status["routes"]["routesTotal"] >= 20000 and status["routes"]["routes"] == []
    assert len(json.dumps(status)) < 16384
    with daemon.client() as client, daemon.client() as slow:
        slow.send("GetRoutes", {}, more=True)
        parts = [part["routes"] for part in client.stream("GetRoutes")]
        assert len(parts) > 10
        listed = [entry["prefix"] for part in parts for entry in part if entry["origin"] == "reconfigured"]
        assert sorted(listed) == sorted(routes)
        # One that goes in the middle of it.
        slow.receive()
    with daemon.client() as client:
        with pytest.raises(VarlinkError) as error:
            client.call("GetRoutes")
        assert error.value.name == "org.varlink.service.ExpectedMore"
    assert daemon.ctl("routes", "show").stdout.count("reconfigured") >= 20000
    daemon.call("Reload")


def test_metrics_go_to_the_port_and_to_the_file(network, netlogd, directory):
    namespace = network.namespace()
    textfile = directory / "netlogd.prom"
    daemon = netlogd(namespace, {
        "netlogd": {"metrics-listen": "127.0.0.1:9586", "metrics-textfile": textfile},
        "tun": {"source": "none"}, "sock": {"source": "none"},
        "upload dead": {"type": "logtail", "url": "http://127.0.0.1:9", "collection": "test"},
        "upload lines": {"type": "file", "path": directory / "lines"}}).start()

    def scrape():
        with namespace.inside():
            connection = socket.create_connection(("127.0.0.1", 9586), 5)
        with connection:
            connection.sendall(b"GET /metrics HTTP/1.0\r\n\r\n")
            data = b"".join(iter(lambda: connection.recv(65536), b""))
        head, text = data.decode().split("\r\n\r\n", 1)
        return samples(text) if " 200 " in head.splitlines()[0] else {}

    def told(sample):
        return (sample.get('netlogd_sink_retries_total{sink="dead"}', 0) > 0 and
                sample.get('netlogd_sink_sent_messages_total{sink="lines"}', 0) > 0)

    for found in (wait_until(lambda: told(now := scrape()) and now, "the port"),
                  wait_until(lambda: told(now := samples(textfile.read_text())) and now, "the file"),
                  samples(daemon.ctl("metrics").stdout)):
        assert found["netlogd_running"] == 1
        assert found["netlogd_spool_failing"] == 0
        assert found['netlogd_sink_state{sink="dead",state="retrying"}'] == 1
        # Which of the two depends on timing.
        lines = states(found, "netlogd_sink_state", "state", sink="lines")
        assert lines["ok"] + lines["idle"] == 1
        assert set(lines) == {"ok", "idle", "retrying", "misconfigured", "unknown"} and sum(lines.values()) == 1
        assert found['netlogd_sink_failing{sink="dead"}'] == 1
        assert found['netlogd_sink_failing{sink="lines"}'] == 0
        assert found['netlogd_sink_backlog_messages{sink="dead"}'] >= 1
        assert 0 < found['netlogd_sink_backlog_age_seconds{sink="dead"}'] < 600
        assert found['netlogd_sink_backlog_age_seconds{sink="lines"}'] == 0
        assert abs(found['netlogd_sink_last_success_timestamp_seconds{sink="lines"}'] - time.time()) < 600
        assert 'netlogd_sink_last_success_timestamp_seconds{sink="dead"}' not in found
        assert states(found, "netlogd_device_state", "state", device="tun") == {
            "counting": 1, "waiting": 0, "lost": 0, "failed": 0, "stopped": 0}
        assert states(found, "netlogd_device_source", "source", device="sock") == {
            "auto": 0, "none": 1, "ebpf": 0, "packet": 0, "stats": 0, "wireguard": 0, "tailscale": 0}
    assert stat.S_IMODE(os.stat(textfile).st_mode) == 0o644
    assert os.listdir(directory).count("netlogd.prom") == 1


def test_a_domain_given_to_start_is_for_that_run(network, netlogd, collector_in, directory):
    namespace = network.namespace()
    collector = collector_in(namespace)
    daemon = netlogd(namespace, {
        "tun": {"source": "none"}, "sock": {"source": "none"},
        "upload main": {"type": "logtail", "url": collector.url, "collection": "test"}}).start()
    domain = directory / "domain.logid"
    daemon.ctl("id", "new", domain)

    def targets_of_a_run(**ids):
        """Stops the current run; returns the targets of a new run's messages, from its first to its last."""
        daemon.call("Stop")
        before = len(collector.requests)
        daemon.call("Start", **ids)
        daemon.call("Stop")
        targets = [request.target for request in collector.requests[before:]]
        assert targets
        return targets

    secret = domain.read_text().strip()
    public = daemon.ctl("id", "public", domain).stdout.strip()
    assert "domainPublicId" not in daemon.status()
    assert all(target.endswith(f"?copyId={secret}") for target in targets_of_a_run(domainLogId=secret))
    assert daemon.status()["domainPublicId"] == public
    assert not any("copyId" in target for target in targets_of_a_run())
    assert "domainPublicId" not in daemon.status()


@pytest.mark.parametrize("what", ["uploader", "reload", "daemon"])
def test_a_domain_given_to_start_lasts_as_long_as_that_run(network, netlogd, collector_in, directory, what):
    """Another uploader and a reload change nothing; another daemon begins another run."""
    namespace = network.namespace()
    collector = collector_in(namespace)
    daemon = netlogd(namespace, {
        "tun": {"source": "none"}, "sock": {"source": "none"}, "record": {"period": "200ms", "heartbeat": "200ms"},
        "upload main": {"type": "logtail", "url": collector.url, "collection": "test"}}).start()
    domain = directory / "domain.logid"
    daemon.ctl("id", "new", domain)
    secret = domain.read_text().strip()
    daemon.call("Stop")
    daemon.call("Start", domainLogId=secret)
    wait_until(lambda: secret in collector.requests[-1].target, "a message for the domain")
    if what == "uploader":
        first = daemon.uploader()
        os.kill(first, signal.SIGKILL)
        wait_until(lambda: daemon.uploader() not in (None, first), "another uploader")
    elif what == "reload":
        daemon.reload()
    else:
        daemon.stop()
        daemon.start()
    wait_until(lambda: daemon.status()["uploader"]["connected"], "the uploader")
    daemon.flush()
    before = len(collector.requests)
    wait_until(lambda: len(collector.requests) >= before + 3, "more messages")
    assert {secret in request.target for request in collector.requests[before:]} == {what != "daemon"}
    assert ("domainPublicId" in daemon.status()) == (what != "daemon")
    daemon.stop()


def test_log_ids_reach_the_uploader_that_comes_after_one_that_hangs(network, netlogd, collector_in, directory):
    """Sent to one that never read them, they would be gone, and the run's messages could never be delivered."""
    namespace = network.namespace()
    collector = collector_in(namespace)
    daemon = netlogd(namespace, {
        "tun": {"source": "none"}, "sock": {"source": "none"}, "record": {"period": "200ms", "heartbeat": "200ms"},
        "upload main": {"type": "logtail", "url": collector.url, "collection": "test"}}).start()
    daemon.ctl("id", "new", directory / "other.logid")
    secret = (directory / "other.logid").read_text().strip()
    daemon.call("Stop")
    first = daemon.uploader()
    os.kill(first, signal.SIGSTOP)
    daemon.call("Start", nodeLogId=secret)
    os.kill(first, signal.SIGKILL)
    wait_until(lambda: any(secret in request.target for request in collector.requests), "a message of the run")
    daemon.stop()


def test_the_configured_domain_is_shown(network, netlogd, directory):
    namespace = network.namespace()
    domain = directory / "domain.logid"
    public = run([program("netlogctl"), "id", "new", domain]).stdout.strip()
    daemon = netlogd(namespace, {"node": {"domain-log-id-file": domain},
                                 "tun": {"source": "none"}, "sock": {"source": "none"}}).start()
    wait_until(lambda: daemon.status().get("domainPublicId") == public, "the domain's public log ID")


def test_the_sockets_directory_is_made_and_the_sockets_are_removed(network, netlogd, directory):
    """Run by hand, nobody else makes /run/netlogd; and a socket without a server would be in the way."""
    daemon = netlogd(network.namespace(), {"tun": None, "sock": None})
    daemon.arguments = ["--no-uploader"]
    daemon.control_socket = directory / "run" / "control.sock"
    daemon.configure({"netlogd": {"control-socket": daemon.control_socket}})
    daemon.start()
    assert stat.S_IMODE(os.stat(directory / "run").st_mode) == 0o755
    assert sorted(os.listdir(directory / "run")) == ["control.sock", "upload.sock"]
    daemon.stop()
    assert os.listdir(directory / "run") == []
    # A start that fails after binding the socket.
    daemon.configure({"node": {"nodes-file": directory / "none.json"}})
    assert daemon.launch().process.wait() == 1
    daemon.notify.close()
    assert os.listdir(directory / "run") == []


def test_without_devices_nothing_is_counted(network, netlogd):
    daemon = netlogd(network.namespace(), {}).start()
    status = daemon.status()
    assert (status["running"], status["tun"]["source"], status["sock"]["source"]) == (True, "none", "none")
    assert "no device configured: nothing is counted" in daemon.log()


def test_a_socket_path_that_is_taken(network, netlogd, daemon):
    second = netlogd(network.namespace(), {"netlogd": {"control-socket": daemon.control_socket}}).launch()
    assert second.process.wait() == 1
    second.notify.close()
    assert f"{daemon.control_socket}: another daemon is listening on it" in second.log()
    assert daemon.status()["running"]
    path = second.directory / "file"
    path.write_text("precious")
    second.configure({"netlogd": {"control-socket": path}})
    assert second.launch().process.wait() == 1
    second.notify.close()
    assert f"{path}: exists and is not a socket" in second.log()
    assert path.read_text() == "precious"
