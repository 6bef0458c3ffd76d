# SPDX-License-Identifier: BSD-3-Clause
"""One of netlogd's devices without the daemon (device_probe.c): a test decides when a window ends."""
import contextlib
import json
import os
import shutil
import subprocess

from .daemon import build_directory
from .process import dies_with_us
from .traffic import COUNTS, Counts, send_udp
from .wait import wait_readable, wait_until


def counts_of(entry):
    return Counts(*(entry[name] for name in COUNTS))


def add(left, right):
    return Counts(*(a + b for a, b in zip(left, right)))


ZERO = Counts(0, 0, 0, 0)


class Window:
    """The sum of one or more extractions."""

    def __init__(self):
        self.entries = {}
        self.totals = self.unknown = self.overflow = ZERO
        self.errors = 0
        self.results = []

    def take(self, extraction):
        for flow in extraction["flows"]:
            key = flow["src"], flow["dst"]
            self.entries[key] = add(self.entries.get(key, ZERO), counts_of(flow))
        self.totals = add(self.totals, counts_of(extraction["totals"]))
        self.unknown = add(self.unknown, counts_of(extraction["unknown"]))
        self.overflow = add(self.overflow, counts_of(extraction["overflow"]))
        self.errors += extraction["errors"]
        self.results.append(extraction["result"])

    @property
    def sum(self):
        total = ZERO
        for counts in self.entries.values():
            total = add(total, counts)
        return total

    def check_conservation(self):
        assert add(self.sum, self.unknown) == self.totals


NOBODY = 65534
# As in packaging/systemd/netlogd.service.
CAPABILITIES = "+bpf,+perfmon,+net_admin,+net_raw"


def as_daemon(directory, program):
    """A command that runs a program as the daemon runs under systemd: not as root, with the unit's capabilities."""
    copy = shutil.copy2(program, directory)
    os.chmod(directory, 0o711)
    return ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups", "--no-new-privs",
            f"--inh-caps=-all,{CAPABILITIES}", f"--ambient-caps=-all,{CAPABILITIES}", f"--bounding-set=-all,{CAPABILITIES}",
            copy]


class Probe:
    """A device in a namespace. Commands are answered one at a time."""

    def __init__(self, namespace, source, name, *underlay, max_flows=65536, without_tcx=False, broker=None):
        program = os.path.realpath(os.path.join(build_directory(), "tests/integration/device-probe"))
        program = as_daemon(namespace.network.directory, program) if broker else [program]
        command = namespace.prefix([*program, source, name, *(underlay or ("none",))])
        environment = {**os.environ, "PROBE_MAX_FLOWS": str(max_flows)}
        if without_tcx:
            environment["PROBE_WITHOUT_TCX"] = "yes"
        if broker:
            environment["PROBE_WG_BROKER"] = str(broker)
        self.popen = subprocess.Popen(dies_with_us(command), stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment)
        self.made = self._read()

    def _read(self):
        wait_readable(self.popen.stdout.fileno(), "an answer of the probe", 30)
        return json.loads(self.popen.stdout.readline())

    def ask(self, command):
        self.popen.stdin.write(command.encode() + b"\n")
        self.popen.stdin.flush()
        return self._read()

    def enable(self):
        """Enables it as the logger does: discards what was counted before."""
        result = self.ask("enable")
        self.window()
        return result

    def window(self, window=None):
        """Ends a window (or adds to the given one)."""
        window = window or Window()
        self.ask("flip")
        window.take(self.ask("extract"))
        return window

    def close(self, check=True):
        with contextlib.suppress(BrokenPipeError):
            self.popen.stdin.close()
        try:
            status = self.popen.wait(20)
            assert not check or status in (0, 1)
        finally:
            self.popen.kill()
            self.popen.wait()
            self.popen.stdout.close()


def tunnel_counters(end):
    """(rx, tx) bytes of all peers, from the tunnel's own counters."""
    rows = [line.split() for line in end.namespace.run("wg", "show", end.interface, "transfer").stdout.splitlines()]
    return sum(int(row[1]) for row in rows), sum(int(row[2]) for row in rows)


def quiet_start(probe, end):
    """Begins a window when nothing is in flight; returns the tunnel's counters at that moment."""
    def quiet():
        before = tunnel_counters(end)
        probe.window()
        return tunnel_counters(end) == before and before

    return wait_until(quiet, "a moment without traffic")


def quiet_window(probe, end, start):
    """Ends the window when nothing is in flight; returns it, and what the tunnel counted since `start`."""
    window = Window()

    def quiet():
        before = tunnel_counters(end)
        probe.window(window)
        return tunnel_counters(end) == before and (before[0] - start[0], before[1] - start[1])

    return window, wait_until(quiet, "a moment without traffic")


def check_against_tunnel(window, tunnel):
    rx, tx = tunnel
    window.check_conservation()
    assert window.sum.txBytes == tx
    assert window.sum.rxBytes == rx


def check_two_devices_on_one_link(network, probe, kind, mode, **options):
    """Both lead to the peer, and a datagram that takes one also passes the other."""
    left, right, links = network.pair()
    left.ip("link", "add", "sub0", "link", links[0], "type", kind, "mode", mode)
    left.ip("address", "add", "192.0.2.33/24", "dev", "sub0")
    left.ip("link", "set", "sub0", "up")
    left.sysctl("net.ipv4.conf.all.rp_filter", 0)
    ends = network.wireguard_pair(left, right, **options)
    network.handshake(ends)
    device = probe(ends[0])
    for route in "sub0", links[0]:
        left.ip("route", "replace", "192.0.2.2/32", "dev", route)
        device.window()
        start = quiet_start(device, ends[0])
        send_udp(*ends, 40, 500, back=40, port_left=40002, port_right=40003)
        window, tunnel = quiet_window(device, ends[0], start)
        check_against_tunnel(window, tunnel)
    return device.ask("info")["attachment"].partition(" on ")[2].split(", "), links[0]
