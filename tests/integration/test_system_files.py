# SPDX-License-Identifier: BSD-3-Clause
"""Files of the system that lead elsewhere: resolv.conf and certificates behind links, as other systems have them, and
links that are turned, directories made anew and files that appear while the uploader runs confined."""
import contextlib
import os
from pathlib import Path
import re
import shutil
import socket
import struct
import threading
import time

import pytest

from collector import Answer
from lib.daemon import program
from lib.process import Process, process_name, run
from lib.tun import Tun
from lib.uploader import Uploader, sequences
from lib.wait import wait_until
from test_upload_tls import Authority, Nginx

SERVER = "127.0.0.53"  # where the name server is; without a resolv.conf the C library asks 127.0.0.1


class NameServer:
    """Says that every name is at 127.0.0.1."""

    def __init__(self, namespace):
        self.asked = 0
        with namespace.inside():
            self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            self.socket.bind((SERVER, 53))
        self.thread = threading.Thread(target=self.serve)
        self.thread.start()

    def serve(self):
        while True:
            query, sender = self.socket.recvfrom(4096)
            if not query:
                return
            self.asked += 1
            end = query.index(b"\0", 12) + 5
            is_ipv4 = query[end - 4:end - 2] == b"\0\1"
            answer = b"\xc0\x0c" + struct.pack("!HHIH", 1, 1, 0, 4) + bytes((127, 0, 0, 1)) if is_ipv4 else b""
            self.socket.sendto(query[:2] + b"\x81\x80\0\1" + struct.pack("!H", is_ipv4) + b"\0\0\0\0" + query[12:end] + answer,
                               sender)

    def close(self):
        self.socket.sendto(b"", self.socket.getsockname())
        self.thread.join()
        self.socket.close()


class System:
    """An /etc, a /run and a /var/lib that only the programs of this test see."""

    def __init__(self, directory, namespace):
        self.directory = directory / "system"
        self.namespace = namespace
        self.etc, self.run, self.lib = (self.directory / name for name in ("etc", "run", "lib"))
        shutil.copytree("/etc", self.etc, symlinks=True, ignore=shutil.ignore_patterns("ssl", "alternatives", "resolv.conf"))
        self.run.mkdir()
        self.lib.mkdir()
        (self.etc / "nsswitch.conf").write_text("hosts: files dns\n")
        (self.etc / "hosts").write_text("127.0.0.1 localhost\n")
        (self.etc / "ssl/certs").mkdir(parents=True)
        for path in self.directory, self.etc, self.run, self.lib, self.etc / "ssl", self.etc / "ssl/certs":
            path.chmod(0o755)
        directory.chmod(0o755)

    def prefix(self, command):
        return self.namespace.prefix([
            "unshare", "--mount", "--propagation", "private", "sh", "-ec",
            f'mount --bind {self.etc} /etc; mount --bind {self.lib} /var/lib; mount --bind {self.run} /run; exec "$@"', "sh",
            *map(str, command)])

    def path(self, name):
        """Where a path of the programs is for the test."""
        for seen, real in ("/etc", self.etc), ("/run", self.run), ("/var/lib", self.lib):
            if str(name).startswith(seen + "/"):
                return real / str(name)[len(seen) + 1:]
        raise ValueError(name)

    def link(self, name, target):
        """Turns a link at once, as those do who know how."""
        path = self.path(name)
        new = path.with_name(path.name + ".new")
        new.symlink_to(target)
        os.rename(new, path)

    def write(self, name, text):
        """Puts a file in place at once."""
        path = self.path(name)
        path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
        new = path.with_name(path.name + ".new")
        new.write_text(text)
        new.chmod(0o644)
        os.rename(new, path)

    def resolv(self, name):
        self.write(name, f"nameserver {SERVER}\noptions timeout:1 attempts:1\n")


class OfDaemon:
    """The uploader as the daemon's child."""

    def __init__(self, system, netlogd, sink):
        tun = Tun(system.namespace.network, system.namespace)
        self.daemon = netlogd(system.namespace, {
            "tun": {"interface": tun.interface}, "sock": {"source": "none"},
            "record": {"period": "200ms", "heartbeat": "1s"}, "upload main": sink})
        prefix = self.daemon.namespace.prefix
        self.daemon.namespace.prefix = lambda command: system.prefix(command) if "netlogd" in str(command[0]) else prefix(command)
        try:
            self.daemon.start()
        finally:
            self.daemon.namespace.prefix = prefix
        self.pid = self.daemon.uploader

    def more(self):
        pass

    def sink(self):
        return self.daemon.status()["sinks"][0]

    def log(self):
        return self.daemon.log()

    def stop(self):
        assert self.daemon.status()["uploader"]["restarts"] == 0, "counted as a failure"
        self.daemon.stop()


class Alone:
    """The uploader started by hand: nothing starts it again."""

    def __init__(self, system, directory, sink):
        self.uploader = Uploader(directory / "alone", {"main": sink})
        self.process = Process(system.prefix([program("netlogd-upload"), "--config", self.uploader.config]),
                               self.uploader.log_file)
        wait_until(lambda: process_name(self.process.pid) == "netlogd-upload", "the uploader")

    def pid(self):
        return self.process.pid

    def more(self):
        self.uploader.fill(1)

    def log(self):
        return self.uploader.log()

    def stop(self):
        assert self.process.terminate() == 0, self.log()
        self.process.close()
        self.uploader.check_log()


@pytest.fixture
def stack():
    with contextlib.ExitStack() as made:
        yield made


@pytest.fixture
def system(network, directory):
    return System(directory, network.namespace())


@pytest.fixture
def authority(directory):
    return Authority(directory, "authority")


@pytest.fixture
def server(system, collector_in, directory, stack, authority):
    """A collector behind TLS, and the name server that knows it."""
    collector = collector_in(system.namespace)
    with system.namespace.inside():
        nginx = Nginx(directory, collector, authority.issue("server", "DNS:flows.test"), "keepalive_requests 1;")
    stack.callback(nginx.close)
    names = NameServer(system.namespace)
    stack.callback(names.close)
    collector.sink = {"type": "logtail", "url": f"https://flows.test:{nginx.port}", "collection": "c",
                      "ca-file": authority.certificate}
    collector.names = names
    return collector


@pytest.fixture
def start(request, system, netlogd, directory, server, stack):
    def make(**keys):
        sink = {key: value for key, value in {**server.sink, **keys}.items() if value}
        if request.param == "daemon":
            return OfDaemon(system, netlogd, sink)
        (directory / "alone").mkdir()
        alone = Alone(system, directory, sink)
        stack.callback(alone.process.close)
        alone.more()
        return alone
    return make


def wait_again(uploader, before, what):
    """Waits until it was started again, where anybody does that."""
    if not isinstance(uploader, Alone):
        wait_until(lambda: uploader.pid() not in (None, before), what, timeout=40)


def by(*who):
    """Who starts the uploader, and again when it asks for it."""
    return pytest.mark.parametrize("start", who, indirect=True)


def delivered_once(server):
    """Every message in order, none twice."""
    numbers = sequences(server.messages)
    assert numbers == list(range(1, len(numbers) + 1))


def wait_more(server, uploader, what):
    before = len(server.messages)
    uploader.more()
    wait_until(lambda: len(server.messages) > before, what, timeout=40)


@by("daemon", "alone")
@pytest.mark.parametrize("target", ["/run/netconfig/resolv.conf", "/run/connman/resolv.conf", "/run/NetworkManager/resolv.conf",
                                    "/run/some-other/manager/resolv.conf"])
def test_resolv_conf_of_a_manager(system, server, start, target):
    """Works where it leads from the start, and also when its manager replaces it."""
    system.resolv(target)
    system.link("/etc/resolv.conf", target)
    uploader = start()
    first = uploader.pid()
    wait_more(server, uploader, "a message")
    assert uploader.pid() == first
    system.resolv(target)
    wait_more(server, uploader, "a message after the file was replaced")
    uploader.stop()
    delivered_once(server)


@pytest.mark.parametrize("start,target", [("daemon", "/run/NetworkManager/resolv.conf"), ("alone", "/run/connman/resolv.conf")],
                         indirect=["start"])
def test_resolv_conf_made_after_the_start(system, server, start, target):
    system.link("/etc/resolv.conf", target)
    uploader = start()
    first = uploader.pid()
    wait_until(lambda: "Could not resolve host" in uploader.log() or uploader.pid() and getattr(uploader, "daemon", None)
               and "resolve" in uploader.sink().get("lastError", ""), "a name that can't be resolved")
    system.resolv(target)
    wait_until(lambda: server.messages, "a message once the file is there", timeout=40)
    wait_again(uploader, first, "another process")
    uploader.stop()
    delivered_once(server)


@by("daemon", "alone")
def test_links_turned_and_directories_made_anew(system, server, start):
    """The middle one of three links, then the directory itself."""
    for number in 1, 2:
        system.resolv(f"/run/manager/{number}/etc/resolv.conf")
    system.link("/run/manager/current", "1")
    system.link("/etc/static", "/run/manager/current/etc")
    system.link("/etc/resolv.conf", "/etc/static/resolv.conf")
    uploader = start()
    wait_more(server, uploader, "a message")
    before = uploader.pid()
    asked = server.names.asked
    system.link("/run/manager/current", "2")
    shutil.rmtree(system.run / "manager/1")
    wait_again(uploader, before, "another process after the link was turned")
    before = uploader.pid()
    wait_more(server, uploader, "a message by the new link")
    # Elsewhere libcurl still remembers the address.
    assert isinstance(uploader, Alone) or server.names.asked > asked
    os.rename(system.run / "manager/2", system.run / "manager/old")
    system.resolv("/run/manager/2/etc/resolv.conf")
    wait_again(uploader, before, "another process after the directory was made anew")
    wait_more(server, uploader, "a message by the new directory")
    uploader.stop()
    delivered_once(server)


@by("daemon")
def test_certificates_behind_links(system, server, start, authority):
    """SUSE's place; then the bundle's directory is made anew with another authority, and at last with the right one."""
    certificate = authority.certificate.read_text()
    system.resolv("/etc/resolv.conf")
    system.write("/var/lib/ca-certificates/ca-bundle.pem", certificate)
    system.link("/etc/ssl/certs/ca-certificates.crt", "/var/lib/ca-certificates/ca-bundle.pem")
    uploader = start(**{"ca-file": None})
    wait_more(server, uploader, "a message")
    before = uploader.pid()
    os.rename(system.lib / "ca-certificates", system.lib / "old")
    system.write("/var/lib/ca-certificates/ca-bundle.pem", certificate)
    wait_more(server, uploader, "a message with the new directory")
    wait_until(lambda: uploader.pid() is not None, "an uploader")
    assert uploader.pid() != before or "ca-certificates" not in uploader.log()
    uploader.stop()
    delivered_once(server)


@by("daemon")
def test_links_that_lead_to_nothing_useful(system, server, start):
    """None of them may leave the uploader without its confinement."""
    system.resolv("/etc/resolv.conf")
    for number, target in enumerate(["/nowhere", "0.pem", "4.pem", ".", "5.pem", "x" * 300, "/proc/self/fd/2",
                                     "/proc/self/ns/net"]):
        system.link(f"/etc/ssl/certs/{number}.pem", target)
    uploader = start()
    wait_more(server, uploader, "a message")
    uploader.stop()
    assert "confinement is incomplete" not in uploader.log()


@by("daemon")
def test_own_authority_by_a_hashed_link(system, server, start, authority):
    """As openssl-rehash makes them, to wherever an administrator keeps it; then the link is turned."""
    name = run(["openssl", "x509", "-noout", "-hash", "-in", authority.certificate]).stdout.strip() + ".0"
    system.resolv("/etc/resolv.conf")
    for number in 1, 2:
        system.write(f"/var/lib/corporate/{number}/root.pem", authority.certificate.read_text())
    system.link(f"/etc/ssl/certs/{name}", "/var/lib/corporate/1/root.pem")
    system.write("/etc/ssl/certs/ca-certificates.crt", Authority(system.directory, "another").certificate.read_text())
    uploader = start(**{"ca-file": None})
    wait_more(server, uploader, "a message")
    system.link(f"/etc/ssl/certs/{name}", "/var/lib/corporate/2/root.pem")
    wait_more(server, uploader, "a message by the turned link")
    uploader.stop()
    delivered_once(server)


@by("daemon")
def test_no_batch_twice(system, server, start):
    """A restart waits for the answer to what is being sent."""
    system.resolv("/run/manager/resolv.conf")
    system.link("/etc/resolv.conf", "/run/manager/resolv.conf")
    asked, answering = threading.Event(), threading.Event()

    def slow(_request):
        asked.set()
        answering.wait(30)
        return Answer(200)
    server.default = slow
    uploader = start()
    before = uploader.pid()
    wait_until(asked.is_set, "the first request")
    system.resolv("/run/manager/resolv.conf")
    wait_until(lambda: "restarting: /etc/resolv.conf" in uploader.log(), "the wish to restart")
    # Longer than it takes when nothing is under way.
    time.sleep(4)
    assert uploader.pid() == before
    answering.set()
    wait_again(uploader, before, "another process")
    wait_more(server, uploader, "a message by it")
    uploader.stop()
    delivered_once(server)
    bodies = [request.body for request in server.requests]
    assert len(set(bodies)) == len(bodies)


def test_restarts_are_fewer_than_the_unit_allows(system, server, directory, stack):
    """As a service: systemd would give up after too many starts, for good."""
    unit = next((Path(__file__).parents[2] / "packaging/systemd").glob("*upload*.service.in")).read_text()
    interval, burst, pause = (int(re.search(f"^{key}=([0-9]+)", unit, re.M)[1])
                              for key in ("StartLimitIntervalSec", "StartLimitBurst", "RestartSec"))
    assert f"StartLimitIntervalSec={interval}min" in unit
    system.resolv("/run/manager/resolv.conf")
    system.link("/etc/resolv.conf", "/run/manager/resolv.conf")
    (directory / "alone").mkdir()
    uploader = Uploader(directory / "alone", {"main": server.sink})
    notify = stack.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM))
    notify.settimeout(20)
    notify.bind(str(directory / "notify"))
    process = Process(system.prefix([program("netlogd-upload"), "--config", uploader.config]), uploader.log_file,
                      env={"NOTIFY_SOCKET": str(directory / "notify")})
    stack.callback(process.close)
    began = time.monotonic()
    while b"READY=1" not in notify.recv(4096):
        pass
    system.resolv("/run/manager/resolv.conf")
    assert process.wait(30) == 75
    assert interval * 60 / (time.monotonic() - began + pause) < burst


@by("daemon")
def test_restarts_are_few(system, server, start):
    """A file that keeps changing costs a restart in some seconds, and delivery goes on."""
    system.resolv("/run/manager/resolv.conf")
    system.link("/etc/resolv.conf", "/run/manager/resolv.conf")
    uploader = start()
    wait_more(server, uploader, "a message")
    pids, began = set(), time.monotonic()
    while time.monotonic() - began < 9:
        system.resolv("/run/manager/resolv.conf")
        pids.add(uploader.pid())
        time.sleep(0.1)
    pids.discard(None)
    print(f"{len(pids)} processes in 9 s of a file that changes ten times a second")
    assert 2 <= len(pids) <= 4
    wait_more(server, uploader, "a message at the end")
    uploader.stop()
    delivered_once(server)
