# SPDX-License-Identifier: BSD-3-Clause
"""Descriptors run short: clients are refused, and counting goes on as if they were not there."""
import contextlib
import os
import resource
import socket

import pytest

from lib import traffic
from lib.tun import Tun
from lib.wait import wait_until

CLIENTS = 60


@contextlib.contextmanager
def soft_limit(soft):
    """For what is started within."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)


@contextlib.contextmanager
def idle_clients(path):
    """Clients that ask nothing; those that the daemon refuses see the end of their connection."""
    with contextlib.ExitStack() as stack:
        clients = [stack.enter_context(socket.socket(socket.AF_UNIX)) for _ in range(CLIENTS)]
        for client in clients:
            client.connect(str(path))
            client.setblocking(False)
        yield clients


def is_refused(client):
    try:
        return client.recv(1) == b""
    except BlockingIOError:
        return False
    except ConnectionResetError:
        return True


def descriptors(pid):
    return len(os.listdir(f"/proc/{pid}/fd"))


@pytest.fixture
def tun(network):
    return Tun(network, network.namespace())


@pytest.fixture
def daemon(tun, netlogd, collector_in):
    collector = collector_in(tun.namespace)
    daemon = netlogd(tun.namespace, {
        "tun": {"interface": tun.interface}, "sock": {"source": "none"},
        "routes": {"mode": "static", "local-addr": tun.address, "route": "100.64.0.0/16"},
        "upload a": {"type": "logtail", "url": collector.url, "collection": "c"}})
    daemon.collector = collector
    return daemon


def count(daemon, tun, n):
    """Sends packets in several windows, during which links come and go; all must arrive, once."""
    with traffic.udp_socket(tun.namespace, tun.address, 40000) as sock:
        for i in range(n):
            sock.sendto(bytes(100), ("100.64.0.2", 40001))
            if i % 10 == 0:
                tun.namespace.ip("tuntap", "add", "nlother0", "mode", "tun")
                tun.namespace.ip("link", "del", "nlother0")
    key = traffic.connection_key(17, tun.address, 40000, "100.64.0.2", 40001)
    wait_until(lambda: traffic.sums(daemon.collector.messages).get(key) == traffic.Counts(n, n * 128, 0, 0), "all packets")
    texts = traffic.texts(daemon.collector.messages)
    assert not [text for text in texts if "lost" in text], texts


def test_the_soft_limit_is_raised(daemon, tun):
    with soft_limit(64):
        daemon.start()
    with idle_clients(daemon.control_socket) as clients:
        wait_until(lambda: daemon.status()["control"]["clients"] == CLIENTS + 1, "all clients")
        count(daemon, tun, 50)
        assert not any(map(is_refused, clients))
    daemon.stop()


def test_the_last_descriptors_are_for_counting(daemon, tun):
    """The hard limit leaves no room for all clients: those that come too late are refused, and harm nothing."""
    daemon.start()
    used = descriptors(daemon.process.pid)
    print(f"{used} descriptors in use without clients")
    limit = used + 40
    resource.prlimit(daemon.process.pid, resource.RLIMIT_NOFILE, (limit, limit))
    with idle_clients(daemon.control_socket) as clients:
        refused = wait_until(lambda: sum(map(is_refused, clients)), "clients to be refused")
        wait_until(lambda: descriptors(daemon.process.pid) <= limit - 20, "room for the daemon's own work")
        count(daemon, tun, 50)
        # What a reload and a start open comes from the same reserve.
        daemon.reload()
    assert refused < CLIENTS
    status = wait_until(lambda: (now := daemon.status())["control"]["clients"] == 1 and now, "the clients to go")
    assert status["control"]["refused"] >= refused
    assert status["tun"]["state"] == "counting" and status["tun"]["errors"] == 0
    assert "error" not in daemon.log() and "warning" not in daemon.log(), daemon.log()
    daemon.stop()
