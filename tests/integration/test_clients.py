# SPDX-License-Identifier: BSD-3-Clause
"""Hostile clients of the control socket: they vanish at any moment, or never stop asking."""
import contextlib
import json
import os
import select
import signal
import socket
import time
import traceback

import pytest

from collector import Answer, Hang
from lib import traffic
from lib.daemon import sanitized
from lib.varlink import VarlinkError
from lib.wait import wait_until
from stats_provider import StatsProvider, connection

CONTROL = "org.netlogd.control."
SERVICE = "org.varlink.service."
OPERATOR, OTHER = 1234, 4321
PERIOD = 0.2


def connect(path):
    client = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
    client.connect(str(path))  # waits while the queue of connections is full
    client.settimeout(20)
    return client


def encode(request):
    return request if isinstance(request, bytes) else json.dumps(request).encode() + b"\0"


class Child:
    """Runs a function of this module in a process of another user; its result is JSON."""

    def __init__(self, uid, function, *arguments):
        self.read, write = os.pipe()
        self.pid = os.fork()
        if self.pid == 0:
            status = 1
            try:
                os.setgroups([])
                os.setresgid(uid, uid, uid)
                os.setresuid(uid, uid, uid)
                os.write(write, json.dumps(function(*arguments)).encode())
                status = 0
            except BaseException:
                traceback.print_exc()
            finally:
                os._exit(status)
        os.close(write)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        os.close(self.read)
        if self.pid:
            os.kill(self.pid, signal.SIGKILL)
            os.waitpid(self.pid, 0)

    def result(self):
        text = b"".join(iter(lambda: os.read(self.read, 65536), b""))
        pid, self.pid = self.pid, 0
        assert os.waitpid(pid, 0)[1] == 0
        return json.loads(text)


class Steady(StatsProvider):
    """A VPN with one packet per window."""

    def _extract(self, client, misbehave):
        self.count([connection(0)])
        return super()._extract(client, misbehave)


@pytest.fixture
def daemon(network, netlogd, directory):
    """A daemon whose windows all have entries, and whose socket is open to everybody."""
    vpn = Steady(directory / "stats.sock")
    try:
        daemon = netlogd(network.namespace(), {
            "netlogd": {"operators": str(OPERATOR)},
            "tun": {"source": "stats", "stats-socket": vpn.path}, "sock": {"source": "none"},
            "routes": {"mode": "static", "local-addr": "100.64.0.1", "route": "100.64.0.0/10"},
            "record": {"period": f"{int(PERIOD * 1000)}ms"}}).start()
        os.chmod(daemon.control_socket, 0o666)
        for path in (directory, daemon.directory):
            os.chmod(path, 0o755)
        daemon.vpn = vpn
        yield daemon
    finally:
        vpn.close()


# Parameters for each method: valid ones first, then every kind of invalid ones.
METHODS = {
    "Start": {}, "Stop": {"deadlineMs": 0}, "Flush": {"deadlineMs": 0}, "Reload": {}, "Status": {}, "Metrics": {}, "Tail": {},
    "Reconfig": {"routes": {"localAddrs": ["100.64.0.1"], "routes": ["100.64.0.0/10"], "subnetRoutes": []}},
    "SetNodes": {"nodes": [{"nodeId": "n1", "addresses": ["100.64.0.1"]}]},
}


def requests():
    for name, parameters in METHODS.items():
        call = {"method": CONTROL + name, "parameters": parameters}
        yield call
        yield {**call, "more": True}
        yield {**call, "oneway": True}
        yield {**call, "upgrade": True}
        yield {**call, "parameters": {**parameters, "unknown": 1}}
        yield {**call, "parameters": {key: 7.5 for key in parameters} or {"deadlineMs": "soon"}}
        yield {**call, "parameters": None}
        yield {**call, "parameters": []}
        yield {**call, "method": CONTROL + name.lower()}
    yield {"method": SERVICE + "GetInfo"}
    yield {"method": SERVICE + "GetInterfaceDescription", "parameters": {"interface": "org.netlogd.control"}}
    yield {"method": SERVICE + "GetInterfaceDescription", "parameters": {"interface": "x"}}
    for method in ("x.y", "x.", ".", ".y", "x", "", "org.netlogd.control", "org.netlogd.control.", SERVICE, "\u00e9.\u00e9"):
        yield {"method": method}
        yield {"method": method, "more": True}
        yield {"method": method, "oneway": True}
    yield b"\0"
    yield b"{}\0"
    yield b'{"method":\0'
    yield encode({"method": "x.y"}) * 20
    yield encode({"method": CONTROL + "Status"}) * 20
    yield encode({"method": CONTROL + "Tail", "more": True}) + encode({"method": CONTROL + "Stop", "oneway": True})
    yield encode({"method": CONTROL + "Tail", "more": True}) + encode({"method": CONTROL + "Flush"})


def vanish(path, step):
    """Disconnects after every byte of every request, and after every byte (in steps) of every answer."""
    def ask(data, take=0):
        # The daemon may not have noticed earlier disconnects yet; then it has no room.
        with contextlib.suppress(ConnectionResetError, BrokenPipeError), connect(path) as client:
            client.sendall(data)
            taken = 0
            # A stream never ends, and a oneway request has no answer.
            while taken < take and select.select([client], [], [], 0.05)[0] and (part := client.recv(take - taken)):
                taken += len(part)
            return taken
        return 0

    times = 0
    for request in map(encode, requests()):
        for n in range(0, len(request) + 1, step):
            ask(request[:n])
            times += 1
        with contextlib.suppress(ConnectionResetError, BrokenPipeError), connect(path) as client:
            client.sendall(request)
            client.shutdown(socket.SHUT_WR)
        length = ask(request, 65536)
        for n in range(0, length, max(step, length // 40)):
            ask(request, n)
            times += 1
    return times


@pytest.mark.parametrize("uid", [0, OPERATOR, OTHER])
def test_clients_vanish_at_any_moment(daemon, uid):
    step = 1 if uid != OPERATOR else 7
    with Child(uid, vanish, daemon.control_socket, step) as vanishing:
        assert vanishing.result() > 1000
    assert daemon.process.running, daemon.log()
    status = wait_until(lambda: (now := daemon.status())["control"]["clients"] == 1 and now, "no client but this one")
    # Operators' requests may have stopped it and started it again.
    assert uid != OTHER or status["running"]
    if not status["running"]:
        daemon.call("Start")
    windows = daemon.status()["record"]["windows"]
    wait_until(lambda: daemon.status()["record"]["windows"] > windows, "a window after that")
    daemon.stop()


def send(path, *requests):
    """Sends a request and disconnects without reading the answer."""
    with connect(path) as client:
        client.sendall(b"".join(map(encode, requests)))


def test_flushes_of_clients_that_left_hold_up_no_other(network, netlogd, directory):
    """A collector that never answers, and eighty clients that would have waited for it for a day."""
    with socket.socket() as nobody:
        namespace = network.namespace()
        with namespace.inside():
            nobody.bind(("127.0.0.1", 0))
        daemon = netlogd(namespace, {
            "tun": {"source": "none"}, "sock": {"source": "none"},
            "upload a": {"type": "logtail", "url": f"http://127.0.0.1:{nobody.getsockname()[1]}", "collection": "c"}}).start()
        for _ in range(80):
            send(daemon.control_socket, {"method": CONTROL + "Flush", "parameters": {"deadlineMs": 86400000}})
        assert wait_until(lambda: daemon.call("Flush", deadlineMs=0), "an answer")["pendingMessages"] >= 1
        # Waiting clients take every place; a Stop is still done and answered.
        assert daemon.call("Stop", deadlineMs=0)["pendingMessages"] >= 1
        assert not daemon.status()["running"]
        daemon.stop()


def test_flushes_of_clients_that_left_take_no_places(network, netlogd, collector_in):
    """A Stop waits for a slow collector, although two hundred clients have left that would have waited for a day."""
    namespace = network.namespace()
    collector = collector_in(namespace)
    slow = Hang(then=Answer(200))
    collector.script(slow)
    daemon = netlogd(namespace, {
        "tun": {"source": "none"}, "sock": {"source": "none"},
        "upload a": {"type": "logtail", "url": collector.url, "collection": "c"}}).start()
    for _ in range(200):
        with daemon.client() as client:
            client.send("Flush", {"deadlineMs": 86400000})
            daemon.status()
    with daemon.client() as client:
        client.send("Stop", {"deadlineMs": 60000})
        wait_until(lambda: not daemon.status()["running"], "the Stop")
        slow.release()
        assert client.reply(60) == {"pendingMessages": 0, "pendingBytes": 0}
    daemon.stop()


@pytest.mark.parametrize("method, parameters", [("SetNodes", {"nodes": []}), ("Flush", {"deadlineMs": 86400000})])
def test_an_end_with_many_calls_under_way(daemon, method, parameters):
    """The last window is taken even while hundreds of calls wait behind a VPN that does not answer."""
    daemon.vpn.misbehave = "hang"
    extractions = daemon.vpn.calls.count("ExtractStatistics")
    wait_until(lambda: daemon.vpn.calls.count("ExtractStatistics") > extractions, "an extraction that hangs")
    for _ in range(1200):
        send(daemon.control_socket, {"method": CONTROL + method, "parameters": parameters})
    daemon.vpn.misbehave = None
    daemon.stop()
    assert "info: stopped\n" in daemon.log()
    assert "memory" not in daemon.log()


def test_an_end_with_many_starts_under_way(daemon, directory):
    """Each would wait for seconds; those whose clients have gone are skipped, and at the end all are."""
    vpn = StatsProvider(directory / "hangs.sock")
    try:
        daemon.call("Stop")
        vpn.misbehave = "hang-enable"
        for _ in range(50):
            send(daemon.control_socket, {"method": CONTROL + "Start", "parameters": {
                "tun": {"source": "stats", "statsSocket": vpn.path}}})
            send(daemon.control_socket, {"method": CONTROL + "Stop"})
        begin = time.monotonic()
        daemon.stop()
        assert time.monotonic() - begin < 8
        assert daemon.log().count("stopping on signal") == 1
    finally:
        vpn.close()


def test_a_start_that_fails_late_does_not_affect_the_next(daemon, directory):
    vpn = StatsProvider(directory / "hangs.sock")
    try:
        daemon.call("Stop")
        vpn.misbehave = "hang-enable"
        clients = [daemon.client() for _ in range(3)]
        hangs = {"tun": {"source": "stats", "statsSocket": vpn.path}}
        for client, method, parameters in zip(clients, ("Start", "Stop", "Start"), (hangs, {}, {})):
            client.send(method, parameters)
            # In this order, on three connections.
            daemon.status()
        with pytest.raises(VarlinkError, match="DeviceUnavailable"):
            clients[0].reply()
        assert clients[1].reply()["pendingMessages"] == 0
        assert len(clients[2].reply()["publicId"]) == 64
        for client in clients:
            client.close()
        status = daemon.status()
        assert (status["running"], len(status["publicId"])) == (True, 64)
        daemon.flush(deadline_ms=0)
    finally:
        vpn.close()


def test_a_former_operator_receives_nothing_more(daemon):
    def listen(path, ready):
        with connect(path) as client:
            client.sendall(encode({"method": CONTROL + "Tail", "more": True}))
            client.recv(1)
            os.write(ready, b".")
            while client.recv(65536):
                pass
        return "cut off"

    read, write = os.pipe()
    with os.fdopen(read, "rb", 0) as ready, Child(OPERATOR, listen, daemon.control_socket, write) as listener:
        os.close(write)
        assert ready.read(1) == b"."
        daemon.configure({"netlogd": {"operators": ""}})
        daemon.reload()
        assert listener.result() == "cut off"


def status_of(path):
    with connect(path) as client:
        client.sendall(encode({"method": CONTROL + "Status"}))
        data = b""
        while not data.endswith(b"\0"):
            data += client.recv(65536)
    return json.loads(data[:-1])["parameters"]["status"]


def test_the_network_is_shown_to_operators(daemon):
    """Others see how many nodes and routes there are, no lists, and see an operator's change at once."""
    def seen(uid):
        with Child(uid, status_of, daemon.control_socket) as child:
            status = child.result()
        routes = status["routes"]
        return (status["running"], status["nodes"], len(status.get("nodeList", [])), len(routes["routes"]),
                routes.get("routesTotal"), len(routes["tailnet"]))

    assert seen(OTHER) == (True, 0, 0, 0, 1, 0)
    daemon.call("SetNodes", nodes=[{"nodeId": f"n{i}"} for i in range(3)])
    daemon.call("Reconfig", routes={"localAddrs": [], "routes": ["10.0.0.0/8", "10.1.0.0/16"], "subnetRoutes": []})
    # The removed route counts until the next window has ended.
    wait_until(lambda: seen(OTHER) == (True, 3, 0, 0, 2, 0), "the new numbers")
    # Status has the same for all: operators ask for the lists.
    assert seen(OPERATOR) == (True, 3, 0, 0, 2, 0)
    assert [route["prefix"] for route in daemon.routes("routes")] == ["10.0.0.0/8", "10.1.0.0/16"]
    daemon.call("Stop")
    assert seen(OTHER)[0] is False


def crowd(path, n, seconds, request):
    """n clients that ask as fast as they are answered; returns how many answers they got."""
    clients = [connect(path) for _ in range(n)]
    for client in clients:
        client.sendall(request * (50 if len(request) < 10000 else 1))
    poll = select.poll()
    by_fd = {client.fileno(): client for client in clients}
    for client in clients:
        poll.register(client, select.POLLIN)
    answers, end = 0, time.monotonic() + seconds
    while time.monotonic() < end:
        for fd, _ in poll.poll(100):
            data = by_fd[fd].recv(1 << 20)
            if not data:
                poll.unregister(fd)
                continue
            answers += data.count(b"\0")
            by_fd[fd].sendall(request * data.count(b"\0"))
    return answers


def lateness(messages):
    """How late each window ended, in seconds, by the messages' end times."""
    ends = [traffic.nanoseconds(message["end"]) / 1e9 for message in messages if "start" in message]
    assert len(ends) > 10
    first = min(end - i * PERIOD for i, end in enumerate(ends))
    return [end - first - round((end - first) / PERIOD) * PERIOD for end in ends], ends


# Of the large ones, 340 KB each, fewer fit into the time.
@pytest.mark.parametrize("method, parameters, least", [
    ("Status", {}, 100), ("Metrics", {}, 100), ("Nonsense", {"a": list(range(500))}, 100),
    ("Reconfig", {"routes": ["x"] * 1000}, 100), ("Large", {"a": "\u00e9" * 170000}, 20)])
def test_a_crowd_delays_neither_windows_nor_operators(daemon, method, parameters, least):
    """48 unprivileged clients, as many as are admitted, ask as fast as they can."""
    request = encode({"method": CONTROL + method, "parameters": parameters})
    before = len(daemon.spool_messages())
    with Child(OTHER, crowd, daemon.control_socket, 48, 4.0, request) as asking:
        wait_until(lambda: daemon.status()["control"]["clients"] >= 49, "the crowd")
        slowest, end = 0.0, time.monotonic() + 3.0
        while time.monotonic() < end:
            begin = time.monotonic()
            assert daemon.status()["running"]
            slowest = max(slowest, time.monotonic() - begin)
        assert asking.result() > least
    late, ends = lateness(daemon.spool_messages()[before:])
    # Sanitizers and a busy machine make everything slower, but nothing waits for the crowd.
    assert max(late) < (0.2 if sanitized() else 0.05), late
    assert max(after - before for before, after in zip(ends, ends[1:])) < PERIOD * 1.9
    print(f"{method}: latest window {max(late) * 1000:.1f} ms, slowest answer {slowest * 1000:.1f} ms")
    assert slowest < (1.0 if sanitized() else 0.25), slowest
