"""Clients of the control socket that do their worst: they vanish at any moment, or ask without end."""
import contextlib
import json
import os
import select
import signal
import socket
import time
import traceback

import pytest

from lib import traffic
from lib.daemon import sanitized
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
    """A function of this module in a process of its own, of another user; its result is JSON."""

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
    """A VPN with a packet for each window."""

    def _extract(self, client, misbehave):
        self.count([connection(0)])
        return super()._extract(client, misbehave)


@pytest.fixture
def daemon(network, netlogd, directory):
    """One whose windows all have something to tell, and whose socket everybody may connect to."""
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
        yield daemon
    finally:
        vpn.close()


# What a method is asked with: once as it should be, then in every way that it should not.
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
    """Sends every request up to every byte, and takes every answer up to every byte (in steps), and goes."""
    def ask(data, take=0):
        # Those who went before may not have been missed yet; then there is no place.
        with contextlib.suppress(ConnectionResetError, BrokenPipeError), connect(path) as client:
            client.sendall(data)
            taken = 0
            # A stream's answer has no end, and a oneway request none at all.
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
    # Those who may have stopped it, and started it again.
    assert uid != OTHER or status["running"]
    if not status["running"]:
        daemon.call("Start")
    windows = daemon.status()["record"]["windows"]
    wait_until(lambda: daemon.status()["record"]["windows"] > windows, "a window after that")
    daemon.stop()


def crowd(path, n, seconds, request):
    """n clients that ask as fast as they are answered; how often they were."""
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
    """Seconds by which each window ended after its time, by the ends that the messages tell."""
    ends = [traffic.nanoseconds(message["end"]) / 1e9 for message in messages if "start" in message]
    assert len(ends) > 10
    first = min(end - i * PERIOD for i, end in enumerate(ends))
    return [end - first - round((end - first) / PERIOD) * PERIOD for end in ends], ends


@pytest.mark.parametrize("method, parameters", [
    ("Status", {}), ("Metrics", {}), ("Nonsense", {"a": list(range(500))}), ("Reconfig", {"routes": ["x"] * 1000}),
    ("Large", {"a": "\u00e9" * 170000})])
def test_a_crowd_holds_up_neither_windows_nor_operators(daemon, method, parameters):
    """48 clients that may only look, all the places that there are for them, ask as fast as they can."""
    request = encode({"method": CONTROL + method, "parameters": parameters})
    before = len(daemon.spool_messages())
    with Child(OTHER, crowd, daemon.control_socket, 48, 4.0, request) as asking:
        wait_until(lambda: daemon.status()["control"]["clients"] >= 49, "the crowd")
        slowest, end = 0.0, time.monotonic() + 3.0
        while time.monotonic() < end:
            begin = time.monotonic()
            assert daemon.status()["running"]
            slowest = max(slowest, time.monotonic() - begin)
        assert asking.result() > 100
    late, ends = lateness(daemon.spool_messages()[before:])
    # Sanitizers and a busy machine make everything slower, but nothing wait for the crowd.
    assert max(late) < (0.2 if sanitized() else 0.05), late
    assert max(after - before for before, after in zip(ends, ends[1:])) < PERIOD * 1.9
    print(f"{method}: latest window {max(late) * 1000:.1f} ms, slowest answer {slowest * 1000:.1f} ms")
    assert slowest < (1.0 if sanitized() else 0.25), slowest
