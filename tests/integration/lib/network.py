# SPDX-License-Identifier: BSD-3-Clause
"""Network namespaces and what is in them, removed however a test ends.

Names have this process's pid in them, so that sweep() can find what a killed run left behind.
"""
import contextlib
import ctypes
import itertools
import json
import os
import re
import shutil
import socket
import subprocess
import tempfile

from .process import Process, run
from .wait import wait_until

LIBC = ctypes.CDLL(None, use_errno=True)
CLONE_NEWNET = 0x40000000
NAMESPACES = "/run/netns"
WIREGUARD_SOCKETS = "/var/run/wireguard"


def setns(fd):
    if LIBC.setns(fd, CLONE_NEWNET) != 0:
        error = ctypes.get_errno()
        raise OSError(error, f"setns: {os.strerror(error)}")


@contextlib.contextmanager
def inside(path):
    """Puts the calling thread into the network namespace at path; sockets created inside stay there."""
    with open("/proc/thread-self/ns/net", "rb") as home, open(path, "rb") as there:
        setns(there.fileno())
        try:
            yield
        finally:
            setns(home.fileno())


def run_prefix():
    """What the names of this run's namespaces and directories begin with."""
    return f"nl{os.getpid()}-"


def left_by(place, pattern, base, has_ended):
    """Names in a directory whose pid, of that base in the pattern, is one of which has_ended() is true."""
    names = os.listdir(place) if os.path.isdir(place) else []
    return [name for name in names if (match := re.fullmatch(pattern, name)) and has_ended(int(match[1], base))]


def left_behind(has_ended):
    """(namespaces, directories, sockets of wireguard-go) of test runs, told by their pids."""
    return (left_by(NAMESPACES, r"nl(\d+)-.*", 10, has_ended),
            [f"{tempfile.gettempdir()}/{name}" for name in left_by(tempfile.gettempdir(), r"nl(\d+)-.*", 10, has_ended)],
            [f"{WIREGUARD_SOCKETS}/{name}" for name in left_by(WIREGUARD_SOCKETS, r"wg([\da-f]+)-.*\.sock", 16, has_ended)])


def sweep():
    """Removes what was left behind by test runs that have ended."""
    namespaces, directories, sockets = left_behind(lambda pid: not os.path.exists(f"/proc/{pid}"))
    for name in namespaces:
        subprocess.run(["ip", "netns", "del", name], check=False)
    for path in directories:
        shutil.rmtree(path, ignore_errors=True)
    for path in sockets:
        _unlink(path)


class Namespace:
    """One network namespace with loopback up. Made by Network.namespace()."""

    def __init__(self, network, name, ipv6):
        self.network = network
        self.name = name
        self.path = f"{NAMESPACES}/{name}"
        run(["ip", "netns", "add", name])
        network.stack.callback(run, ["ip", "netns", "del", name], check=False)
        if not ipv6:
            # Otherwise the kernel sends router solicitations and multicast reports into every interface.
            self.sysctl("net.ipv6.conf.all.disable_ipv6", 1)
            self.sysctl("net.ipv6.conf.default.disable_ipv6", 1)
        self.ip("link", "set", "lo", "up")

    def __repr__(self):
        return self.name

    def inside(self):
        return inside(self.path)

    def prefix(self, command):
        return ["nsenter", f"--net={self.path}", *command]

    def run(self, *command, **options):
        return run(self.prefix(command), **options)

    def ip(self, *arguments):
        return run(["ip", "-n", self.name, *arguments]).stdout

    def ip_json(self, *arguments):
        return json.loads(run(["ip", "-n", self.name, "-j", *arguments]).stdout or "[]")

    def sysctl(self, name, value):
        # /proc/sys/net shows the namespace of the process that opens it.
        with self.inside(), open("/proc/sys/" + name.replace(".", "/"), "w", encoding="ascii") as file:
            file.write(str(value))

    def start(self, *command, name=None, **options):
        """Starts a process in this namespace; it ends with the test."""
        log = self.network.directory / f"{name or os.path.basename(str(command[0]))}-{next(self.network.numbers)}.log"
        process = Process(self.prefix(command), log, **options)
        self.network.stack.callback(process.close)
        return process

    def statistics(self, interface):
        """The interface's own counters. A superpacket counts once: do not compare them with netlogd's."""
        link = self.ip_json("-s", "link", "show", "dev", interface)[0]
        return link["stats64"]

    def drops(self, interface):
        stats = self.statistics(interface)
        return stats["rx"]["dropped"] + stats["tx"]["dropped"] + stats["rx"]["errors"] + stats["tx"]["errors"]

    def interface_exists(self, interface):
        with self.inside():
            return interface in [name for _, name in socket.if_nameindex()]


class Tunnel:
    """One end of a tunnel: its namespace and its interface there."""

    def __init__(self, namespace, interface, address, address6=None, port=None, endpoint=None, process=None):
        self.namespace = namespace
        self.interface = interface
        self.address = address
        self.address6 = address6
        self.port = port
        self.endpoint = endpoint
        self.process = process
        self.public_key = None


class Network:
    """Makes namespaces, links and tunnels; close() removes all of them, last made first."""

    _serial = itertools.count()

    def __init__(self, directory):
        self.directory = directory
        self.stack = contextlib.ExitStack()
        self.numbers = itertools.count()
        self.serial = next(Network._serial)

    def close(self):
        self.stack.close()

    def namespace(self, ipv6=False):
        return Namespace(self, f"{run_prefix()}{self.serial}-{next(self.numbers)}", ipv6)

    def interface_name(self, kind):
        """Unique on the machine: userspace tunnels put sockets named after their interfaces into one directory."""
        name = f"{kind}{os.getpid():x}-{self.serial:x}-{next(self.numbers):x}"
        assert len(name) < 16, name
        return name

    def veth(self, left, right, left_address="192.0.2.1/24", right_address="192.0.2.2/24", mtu=1500,
             left_address6=None, right_address6=None):
        """Joins two namespaces; returns the two interfaces' names."""
        names = self.interface_name("ve"), self.interface_name("vf")
        run(["ip", "link", "add", names[0], "mtu", mtu, "netns", left.name, "type", "veth",
             "peer", "name", names[1], "mtu", mtu, "netns", right.name])
        addresses = (left_address, left_address6), (right_address, right_address6)
        for namespace, name, (address, address6) in zip((left, right), names, addresses):
            if address:
                namespace.ip("address", "add", address, "dev", name)
            if address6:
                namespace.ip("address", "add", address6, "dev", name, "nodad")
            namespace.ip("link", "set", name, "up")
        return names

    def pair(self, **options):
        """Two namespaces joined by a veth pair: 192.0.2.1 and 192.0.2.2."""
        ipv6 = options.pop("ipv6", False)
        left, right = self.namespace(ipv6), self.namespace(ipv6)
        if ipv6:
            options.setdefault("left_address6", "2001:db8::1/64")
            options.setdefault("right_address6", "2001:db8::2/64")
        links = self.veth(left, right, **options)
        return left, right, links

    def wireguard_go(self, namespace, interface=None):
        """Starts wireguard-go; returns the process and the interface, not yet configured."""
        interface = interface or self.interface_name("wg")
        path = f"{WIREGUARD_SOCKETS}/{interface}.sock"
        process = namespace.start("wireguard-go", "--foreground", interface,
                                  name="wireguard-go", env={"LOG_LEVEL": "error", "WG_PROCESS_FOREGROUND": "1"})
        self.stack.callback(_unlink, path)
        wait_until(lambda: os.path.exists(path) or not process.running, f"wireguard-go's socket {path}")
        assert process.running, process.text()
        return process, interface

    def wireguard_pair(self, left=None, right=None, addresses=("100.64.0.1", "100.64.0.2"),
                       addresses6=(None, None), endpoints=("192.0.2.1", "192.0.2.2"), mtu=1420, kernel=False,
                       ports=(51820, 51821), interfaces=(None, None)):
        """Two ends joined by WireGuard (wireguard-go, or the kernel's), each allowed the other's addresses."""
        if left is None:
            left, right, _ = self.pair(ipv6=any(addresses6))
        ends = []
        for namespace, interface, address, address6, port, endpoint in zip(
                (left, right), interfaces, addresses, addresses6, ports, endpoints):
            if kernel:
                process, interface = None, interface or self.interface_name("wg")
                namespace.ip("link", "add", interface, "type", "wireguard")
            else:
                process, interface = self.wireguard_go(namespace, interface)
            ends.append(Tunnel(namespace, interface, address, address6, port, endpoint, process))
        keys = [run(["wg", "genkey"]).stdout for _ in ends]
        for end, key in zip(ends, keys):
            end.public_key = run(["wg", "pubkey"], stdin=key).stdout.strip()
        for end, other, key in zip(ends, reversed(ends), keys):
            allowed = [f"{other.address}/32"] + ([f"{other.address6}/128"] if other.address6 else [])
            end.namespace.run("wg", "set", end.interface, "private-key", "/dev/stdin", "listen-port", end.port,
                              "peer", other.public_key, "endpoint", endpoint_text(other.endpoint, other.port),
                              "allowed-ips", ",".join(allowed), stdin=key)
            end.namespace.ip("link", "set", end.interface, "mtu", str(mtu), "addrgenmode", "none")
            end.namespace.ip("address", "add", f"{end.address}/24", "dev", end.interface)
            if end.address6:
                end.namespace.ip("address", "add", f"{end.address6}/64", "dev", end.interface, "nodad")
            end.namespace.ip("link", "set", end.interface, "up")
        return ends

    @staticmethod
    def handshake(ends):
        """Completes the handshake before anything is counted."""
        ends[0].namespace.run("ping", "-c", "1", "-W", "10", ends[1].address)


def endpoint_text(address, port):
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"


def _unlink(path):
    with contextlib.suppress(FileNotFoundError):
        os.unlink(path)
